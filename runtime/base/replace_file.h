// Files that are either whole or not there as long as the machine runs: atomic_file.h without its syncs, for
// what is not worth some milliseconds of waiting for the disk.
#pragma once

#include <filesystem>
#include <string_view>

namespace trireme {

// Replaces `path` by `text`: readers see the one or the other, also where this process is killed. After a
// crash of the machine it may be empty. Throws IoError.
void replace_file(const std::filesystem::path& path, std::string_view text);

}  // namespace trireme
