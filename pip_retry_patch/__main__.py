"""`python -m pip_retry_patch` is `pip-retry-patch`."""

import sys

from pip_retry_patch.commands.cli import main

sys.exit(main())
