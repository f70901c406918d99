// DomainRecord: a bridge domain as the reconciler keeps it.

/// One bridge domain.
struct DomainRecord {
  var index: UInt16
  /// The table has what the controller's store has for it.
  var hasControllerEntries = false
}
