// Counts the calls of operator new between start and stop, in the whole process (link count_allocations.cpp).
#pragma once

#include <cstddef>

namespace trireme::test {

void start_counting_allocations();
size_t stop_counting_allocations();

}  // namespace trireme::test
