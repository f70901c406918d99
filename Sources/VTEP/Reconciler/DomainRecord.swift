// DomainRecord: a bridge domain as the reconciler keeps it.

import MACTable

/// One bridge domain.
struct DomainRecord {
  var index: DomainIndex
  /// The table has what the controller's store has for it.
  var hasControllerEntries = false
}
