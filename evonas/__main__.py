from evonas.commands.main import begin

begin()
