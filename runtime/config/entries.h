// A config's text key by key, as it stands there: for comparing two, also those that another build has written.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace trireme {

// Every key by its full name ("model.layer[2].rate"; lists of tables count from 0) with its value as TOML.
// Nothing is checked but the syntax. Throws ConfigError "NAME:LINE:COLUMN: ...".
std::map<std::string, std::string> config_entries(std::string_view toml, const std::string& name);

}  // namespace trireme
