// DaemonCommands: all commands of the control socket. Each file here has those of one subject: what carries them out, and a line that adds
// them. The requests and their answers are VTEPControl's, the command lines vtepctl's.

extension Daemon {
  nonisolated var commands: ControlCommands {
    var commands = ControlCommands()
    addShowCommands(to: &commands)
    addNeighborCommands(to: &commands)
    addRouterCommands(to: &commands)
    addMACCommands(to: &commands)
    addVNICommands(to: &commands)
    addPortCommands(to: &commands)
    addBindingCommands(to: &commands)
    addACLCommands(to: &commands)
    addConfigurationCommands(to: &commands)
    addOVSDBCommands(to: &commands)
    addDoctorCommands(to: &commands)
    addVerifyCommands(to: &commands)
    addTraceCommands(to: &commands)
    addEventCommands(to: &commands)
    addLiveTraceCommands(to: &commands)
    addCaptureCommands(to: &commands)
    return commands
  }
}
