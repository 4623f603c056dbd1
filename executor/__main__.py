"""What an agent starts: ``python -m executor module:Class``."""

from executor.main import end_process, main

end_process(main())
