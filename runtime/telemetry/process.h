// What the system knows about this process.
#pragma once

namespace trireme {

// Seconds since this process was started, by the kernel's record (/proc/self/stat, resolution 10 ms); so that
// what the loader and the libraries' start-up cost is counted as well. Throws IoError without /proc.
double seconds_since_process_start();

}  // namespace trireme
