from evonas.commands.main import main

main()
