// One line of a journal. Internal to the room.
#pragma once

#include <string>
#include <string_view>

namespace trireme {

constexpr std::string_view journal_magic = "TRJ1 ";
constexpr size_t journal_digits = 16;

// The 16 digits of a line with this JSON text; `chain`: those of the line before, empty for the first.
std::string journal_digits_of(std::string_view chain, std::string_view json);

}  // namespace trireme
