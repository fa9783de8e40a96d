#include "comm/fabric_selected.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <link.h>
#include <ucs/config/global_opts.h>
#include <ucs/debug/log_def.h>

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <filesystem>
#include <mutex>
#include <string_view>
#include <system_error>

#include "comm/fabric_error.h"

namespace trireme {
namespace {

void add_once(std::vector<std::string>& names, std::string name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
}

// The one listener: a log handler of UCX gets no pointer of ours.
struct Heard {
  std::mutex mutex;
  ucs_log_level_t level_of_user = UCS_LOG_LEVEL_WARN;
  std::vector<std::string> transports;
};
Heard heard;

ucs_log_func_rc_t listen_to_line(const char*, unsigned, const char*, ucs_log_level_t level,
                                 const ucs_log_component_config_t*, const char* message, va_list arguments) {
  if (level == UCS_LOG_LEVEL_INFO) {
    std::array<char, 1024> line{};
    va_list copy;
    va_copy(copy, arguments);
    std::vsnprintf(line.data(), line.size(), message, copy);
    va_end(copy);
    std::lock_guard lock(heard.mutex);
    for (std::string& name : transports_in(line.data())) add_once(heard.transports, std::move(name));
  }
  return level <= heard.level_of_user || level == UCS_LOG_LEVEL_PRINT ? UCS_LOG_FUNC_RC_CONTINUE
                                                                      : UCS_LOG_FUNC_RC_STOP;
}

// "mca_btl_tcp.so" of kind "btl" is "tcp"; empty for anything else.
std::string component_in(std::string_view file, std::string_view kind) {
  file.remove_prefix(std::min(file.rfind('/') + 1, file.size()));
  std::string prefix = fmt::format("mca_{}_", kind);
  if (!file.starts_with(prefix) || !file.ends_with(".so")) return "";
  file.remove_prefix(prefix.size());
  return std::string(file.substr(0, file.size() - 3));
}

std::vector<std::string> loaded_components(std::string_view kind) {
  struct Search {
    std::string_view kind;
    std::vector<std::string> found;
  } search{kind, {}};
  ::dl_iterate_phdr(
      [](dl_phdr_info* library, size_t, void* data) {
        auto* wanted = static_cast<Search*>(data);
        std::string name = component_in(library->dlpi_name, wanted->kind);
        if (!name.empty()) wanted->found.push_back(name);
        return 0;
      },
      &search);
  std::sort(search.found.begin(), search.found.end());
  return search.found;
}

// libmpi's `mca_pml` is the table of functions that every message goes through: whoever owns its first
// function was selected. That holds where components are built into libmpi as well ("mca_pml_ob1_add_procs").
std::string message_layer() {
  auto* table = static_cast<void**>(::dlsym(RTLD_DEFAULT, "mca_pml"));
  Dl_info owner{};
  if (table == nullptr || *table == nullptr || ::dladdr(*table, &owner) == 0) return "?";
  if (std::string name = component_in(owner.dli_fname, "pml"); !name.empty()) return name;
  std::string_view symbol = owner.dli_sname ? owner.dli_sname : "";
  if (!symbol.starts_with("mca_pml_")) return "?";
  symbol.remove_prefix(8);
  return std::string(symbol.substr(0, symbol.find('_')));
}

std::vector<std::string> open_rdma_devices() {
  std::vector<std::string> devices;
  std::error_code error;
  for (auto entry = std::filesystem::directory_iterator("/proc/self/fd", error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    std::error_code unreadable;
    std::string file = std::filesystem::read_symlink(entry->path(), unreadable).string();
    for (std::string_view prefix : {"/dev/infiniband/uverbs", "/dev/hfi1", "/dev/cxi"}) {
      if (file.starts_with(prefix)) add_once(devices, file.substr(file.rfind('/') + 1));
    }
  }
  std::sort(devices.begin(), devices.end());
  return devices;
}

// Components of ob1 that carry messages between these ranks. `self` is a rank with itself; `sm` beside vader
// is an empty shell that Open MPI 4 keeps to say that it is no more.
std::vector<std::string> carriers_of_ob1(bool within_node, bool between_nodes) {
  std::vector<std::string> loaded = loaded_components("btl");
  auto is_loaded = [&](const char* name) {
    return std::find(loaded.begin(), loaded.end(), name) != loaded.end();
  };
  std::string memory = is_loaded("vader") ? "vader" : is_loaded("sm") ? "sm" : "";
  std::vector<std::string> carriers;
  if (within_node && !memory.empty()) carriers.push_back(memory);
  for (const std::string& name : loaded) {
    if (name == "self" || name == "sm" || name == "vader") continue;
    if (between_nodes || memory.empty()) carriers.push_back(name);
  }
  return carriers;
}

}  // namespace

struct UcxLog::Functions {
  void (*push)(ucs_log_func_t) = nullptr;
  void (*pop)() = nullptr;
  ucs_status_t (*set)(const char*, const char*) = nullptr;
  std::string former_level;
};

UcxLog::UcxLog(bool listen) {
  if (!listen) return;
  void* library = ::dlopen("libucs.so.0", RTLD_NOW | RTLD_LOCAL);  // stays: Open MPI uses it to the end
  if (library == nullptr) return;
  auto functions = std::make_unique<Functions>();
  functions->push = reinterpret_cast<void (*)(ucs_log_func_t)>(::dlsym(library, "ucs_log_push_handler"));
  functions->pop = reinterpret_cast<void (*)()>(::dlsym(library, "ucs_log_pop_handler"));
  functions->set = reinterpret_cast<ucs_status_t (*)(const char*, const char*)>(
      ::dlsym(library, "ucs_global_opts_set_value"));
  auto get = reinterpret_cast<ucs_status_t (*)(const char*, char*, size_t)>(
      ::dlsym(library, "ucs_global_opts_get_value"));
  auto names = static_cast<const char**>(::dlsym(library, "ucs_log_level_names"));
  if (!functions->push || !functions->pop || !functions->set || !get || !names) return;
  std::array<char, 64> level{};
  if (get("LOG_LEVEL", level.data(), level.size()) != UCS_OK) return;
  functions->former_level = level.data();
  int of_user = UCS_LOG_LEVEL_FATAL;
  while (of_user < UCS_LOG_LEVEL_LAST && ::strcasecmp(names[of_user], level.data()) != 0) ++of_user;
  {
    std::lock_guard lock(heard.mutex);
    heard.transports.clear();
    heard.level_of_user = static_cast<ucs_log_level_t>(of_user);
  }
  if (of_user < UCS_LOG_LEVEL_INFO && functions->set("LOG_LEVEL", "info") != UCS_OK) return;
  functions->push(listen_to_line);
  functions_ = std::move(functions);
}

UcxLog::~UcxLog() {
  if (!functions_) return;
  functions_->set("LOG_LEVEL", functions_->former_level.c_str());
  functions_->pop();
}

std::vector<std::string> UcxLog::transports() const {
  std::lock_guard lock(heard.mutex);
  return functions_ ? heard.transports : std::vector<std::string>();
}

std::vector<std::string> transports_in(const std::string& line) {
  std::vector<std::string> names;
  size_t start = line.find("tag(");
  if (start == std::string::npos) return names;
  start += 4;
  std::string_view lanes(line.data() + start, std::min(line.find(')', start), line.size()) - start);
  if (lanes.find("self/") != std::string_view::npos) return names;  // a rank with itself
  while (!lanes.empty()) {
    std::string_view lane = lanes.substr(0, lanes.find(' '));
    if (size_t slash = lane.find('/'); slash != std::string_view::npos) {
      add_once(names, std::string(lane.substr(0, slash)));
    }
    lanes.remove_prefix(std::min(lane.size() + 1, lanes.size()));
  }
  return names;
}

Selected selected_fabric(const std::vector<std::string>& ucx, bool within_node, bool between_nodes) {
  Selected selected;
  selected.layer = message_layer();
  if (selected.layer == "ucx") selected.over = ucx;
  if (selected.layer == "cm") selected.over = loaded_components("mtl");
  if (selected.layer == "ob1") selected.over = carriers_of_ob1(within_node, between_nodes);
  selected.devices = open_rdma_devices();
  return selected;
}

std::string describe(const Selected& selected) {
  std::string text = selected.layer == "?" ? "an unknown layer of Open MPI" : selected.layer;
  if (!selected.over.empty()) text += fmt::format(" over {}", fmt::join(selected.over, ", "));
  if (!selected.devices.empty()) text += fmt::format(" ({})", fmt::join(selected.devices, ", "));
  return text;
}

}  // namespace trireme
