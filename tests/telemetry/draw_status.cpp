// Draws one status line where there is a terminal to draw it on; see status_under_mpirun.sh.
#include "telemetry/log.h"

int main() {
  trireme::Logger log({});
  log.set_status("THE STATUS LINE");
  log.info("a line of log");
}
