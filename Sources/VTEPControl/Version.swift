// Version: what `vtepd --version`, `vtepctl --version` and `vtepctl status` say.

import CVersion

/// The version of this build.
public enum Version {
  /// In the form of a Debian version: `0.1.0`, `0.1.0+5.gabc1234` (five commits after it), `0.2.0~dev` (before it).
  public static let text = String(cString: cversion_text())
}
