"""What SCOOP and MPI run in place of the command `evonas`: see `evonas.executors.launch`."""

if __name__ == "__main__":  # SCOOP's workers import this file
    from evonas.commands.main import main
    from evonas.executors.launch import as_root

    as_root(main)
