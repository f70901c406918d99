// LocatorSet: a set of locators (vtep(5), table Physical_Locator_Set). Immutable: it can only be replaced.

extension HardwareVTEP {
  /// A set of locators.
  public struct LocatorSet: HardwareVTEPRow {
    public var id: RowID
    /// Physical_Locator rows.
    public var locators: Set<RowID>

    public init(id: RowID = .zero, locators: Set<RowID> = []) {
      self.id = id
      self.locators = locators
    }

    public init?(_ id: RowID, _ row: OVSDBRow) {
      self.id = id
      locators = row.references("locators")
    }

    public var columns: [String: OVSDBDatum] {
      ["locators": OVSDBDatum(locators)]
    }
  }
}
