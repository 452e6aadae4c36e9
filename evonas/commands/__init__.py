"""The command `evonas`, one file a command. Help and lists answer without torch: what needs it is imported where it is
used."""
