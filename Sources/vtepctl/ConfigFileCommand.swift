// ConfigFileCommand: `vtepctl config save|export|import`: files are written here, with the rights of whoever runs vtepctl. The daemon's own file
// is usually not writable for the daemon.

import ArgumentParser
import FoundationEssentials
import VTEPControl

extension ConfigCommand {
  struct Save: ClientCommand {
    static let configuration = CommandConfiguration(
      abstract: "Writes the running configuration into the daemon's file, so that it outlives a restart.",
      discussion: "Only keys that differ are changed; comments elsewhere stay.")

    @Flag(help: "Also if the file has changes that were not applied; they are lost.") var force = false
    @Flag(help: "Print what would be written instead.") var print = false
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws {
      let merged = try session.ask(MergeConfiguration(force: force ? true : nil))
      if print { return Output.standard.write(merged.text) }
      if let reason = merged.lostComments {
        let old = merged.path + ".old"
        try write(try readText(merged.path), to: old)
        Output.diagnose("vtepctl: \(merged.path): comments are lost: \(reason); the file as it was is \(old)")
      }
      if merged.isChanged { try write(merged.text, to: merged.path) }
      _ = try session.ask(SavedConfiguration(file: merged.path, text: merged.text))
      switch session.format {
      case .json: try session.printObject(ChangeAnswer(changed: merged.isChanged))
      case .table: Output.standard.write(merged.isChanged ? "\(merged.path) written\n" : "unchanged\n")
      }
    }
  }

  struct Export: ClientCommand {
    static let configuration = CommandConfiguration(
      abstract: "Writes the daemon's file and the running configuration into one file, for 'config import'.",
      discussion: "Without a file: to standard output. The text depends on nothing else: exported again, it is the same.")

    @Argument(help: "File to write.", completion: .file()) var file: String?
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws {
      let saved = try session.ask(ShowConfiguration(source: .saved))
      let running = try session.ask(ShowConfiguration())
      let text = ConfigurationExport(saved: saved.text, running: running.text).text
      if let file { try write(text, to: file) } else { Output.standard.write(text) }
    }
  }

  struct Import: ClientCommand {
    static let configuration = CommandConfiguration(
      abstract: "Restores what 'config export' wrote: the running configuration and the daemon's file.",
      discussion: "All of it or nothing; what is not in the export goes.")

    @Argument(help: "File that 'config export' wrote.", completion: .file()) var file: String
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws {
      guard let export = ConfigurationExport(text: try readText(file)) else {
        throw CommandFailure(message: "\(file): not a complete file of 'vtepctl config export'", isUsage: false)
      }
      // Both are checked before anything changes.
      _ = try session.ask(CheckConfiguration(file: "\(file) (saved)", text: export.saved))
      let path = try session.ask(MergeConfiguration(force: true)).path
      let answer = try session.ask(ApplyConfiguration(file: "\(file) (running)", text: export.running, replace: true))
      do {
        try write(export.saved, to: path)
      } catch {
        throw CommandFailure(
          message: "the imported configuration runs, but its file could not be written: \(error); repeat as a user who may write it",
          isUsage: false)
      }
      _ = try session.ask(SavedConfiguration(file: path, text: export.saved))
      try answer.print(session, nothing: "unchanged")
    }
  }
}

private func write(_ text: String, to path: String) throws {
  do {
    try AtomicFile.write(Data(text.utf8), to: path)
  } catch {
    throw CommandFailure(message: "\(error)", isUsage: false)
  }
}

extension CommandFailure: CustomStringConvertible {
  var description: String { message }
}
