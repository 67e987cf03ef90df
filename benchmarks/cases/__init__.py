"""The cases, by subject. Importing this declares them all, in the order of the report."""

# isort: off
from cases import create as create
from cases import execs as execs
from cases import fork as fork
from cases import files as files
from cases import end as end
from cases import stopping as stopping
from cases import start as start
from cases import suite as suite
from cases import workers as workers
from cases import memory as memory
from cases import fork_memory as fork_memory
from cases import throughput as throughput
from cases import scaling as scaling
from cases import handlers as handlers
import peers as peers
