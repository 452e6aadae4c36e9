from evonas.command_line import main

main()
