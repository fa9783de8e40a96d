// A TOML text as plain values that know where they came from. toml++ is included in toml_value.cpp only: it
// compiles slowly, and the rest of the room needs no more than this.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace trireme {

struct TomlEntry;

struct TomlOther {  // dates and times: no key takes them
  std::string type;
};

struct TomlValue {
  using List = std::vector<TomlValue>;
  using Table = std::vector<TomlEntry>;  // in the order of the file

  std::variant<bool, int64_t, double, std::string, List, Table, TomlOther> data;
  std::string origin;   // "FILE:LINE:COLUMN" of its key (of itself in a list), or "--set KEY=VALUE"
  std::string literal;  // of an override: VALUE as it was typed
  bool overridden = false;
  uint32_t line = 0, column = 0;  // from 1; 0 of an override

  const Table* table() const { return std::get_if<Table>(&data); }
  Table* table() { return std::get_if<Table>(&data); }
  const List* list() const { return std::get_if<List>(&data); }
  List* list() { return std::get_if<List>(&data); }
};

struct TomlEntry {
  std::string key;
  TomlValue value;
};

// Throws ConfigError "NAME:LINE:COLUMN: ..." for a syntax error, duplicate keys included.
TomlValue parse_toml(std::string_view text, const std::string& name);

// Puts "model.layer[2].rate=0.5" into `root`, replacing what is there; lists count from 0. The value is read
// as TOML; one that is no TOML value and does not look like the beginning of one is taken as text. Throws
// ConfigError "--set ...".
void apply_override(TomlValue& root, const std::string& assignment);

// The two halves of it: VALUE as it is typed there, of this origin; and the putting of one at
// "model.layer[2].rate". Throw ConfigError "ORIGIN: ...".
TomlValue parse_override(const std::string& text, const std::string& origin);
void place_value(TomlValue& root, std::string_view path, TomlValue value);

// The value as TOML in one line; doubles read back to the same bits.
std::string toml_text(const TomlValue& value);

// "the text \"abc\"", "the list [...]", "a table": for messages.
std::string describe(const TomlValue& value);

}  // namespace trireme
