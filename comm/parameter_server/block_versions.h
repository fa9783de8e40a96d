// A seqlock a block: how parameters are read, locally or by one-sided gets, while they are updated.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/range.h"

namespace trireme {

// One 64-bit word a block: twice the number of updates that the block has had, plus 1 while it is being
// updated. One writer at a time a block; any number of readers. Words lie one behind the other: a pull
// fetches all of them in one get.

// Bytes that the words of so many blocks take in front of the values: values stay aligned to 64.
constexpr size_t version_bytes(size_t blocks) { return (blocks * sizeof(uint64_t) + 63) / 64 * 64; }

// Writer: around an update of the block.
void begin_update(uint64_t& version);
void end_update(uint64_t& version);

// Reader: whether what was read between reading `before` and `after` is whole.
constexpr bool is_whole(uint64_t before, uint64_t after) { return before == after && (before & 1) == 0; }
// The blocks to be read again. A remote reader gets [versions], [values], [versions], each after the one
// before has completed; then these blocks again in the same way, until none is left.
std::vector<size_t> torn_blocks(std::span<const uint64_t> before, std::span<const uint64_t> after);
// How many updates all blocks have had at least: PushInfo::pulled_version.
uint64_t updates_in(std::span<const uint64_t> versions);

// A reader in the same process: copies [block.begin, block.end) of `values` to the same place of `out`; every
// block is whole, and different blocks may be of different versions. Returns updates_in() of what was copied.
// Tries each block until it succeeds: a block that is updated without a pause (one block, full load) may take
// long; Shard::copy_values waits its turn instead.
uint64_t copy_consistent(std::span<const uint64_t> versions, std::span<const Range> blocks,
                         const float* values, float* out);

}  // namespace trireme
