#include "inspect/safetensors.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t header_limit = 100'000'000;  // the public reader's
constexpr const char* metadata_name = "__metadata__";

struct TypeName {
  std::string_view name;
  DType type;
};
constexpr std::array<TypeName, 8> type_names{{{"F32", DType::float32},
                                              {"F64", DType::float64},
                                              {"F16", DType::float16},
                                              {"BF16", DType::bfloat16},
                                              {"I32", DType::int32},
                                              {"I64", DType::int64},
                                              {"U8", DType::uint8},
                                              {"U16", DType::uint16}}};

std::string_view name_of_type(DType type) {
  return std::find_if(type_names.begin(), type_names.end(), [&](const auto& t) { return t.type == type; })
      ->name;
}

std::optional<DType> type_named(std::string_view name) {
  for (const TypeName& one : type_names) {
    if (one.name == name) return one.type;
  }
  return std::nullopt;
}

// nlohmann-json lets the later of two equal keys win; here that is a fault.
nlohmann::ordered_json parse_header(const std::string& text, const fs::path& path) {
  std::set<std::string> names;
  std::string twice;
  auto watch = [&](int depth, nlohmann::ordered_json::parse_event_t event, nlohmann::ordered_json& parsed) {
    if (event == nlohmann::ordered_json::parse_event_t::key && depth == 1) {
      auto name = parsed.get<std::string>();
      if (!names.insert(name).second) twice = name;
    }
    return true;
  };
  nlohmann::ordered_json header;
  try {
    header = nlohmann::ordered_json::parse(text, watch);
  } catch (const nlohmann::json::exception& error) {
    throw DataError("{}: its header is no JSON: {}", path.string(), error.what());
  }
  if (!twice.empty()) throw DataError("{}: its header names {} twice", path.string(), twice);
  return header;
}

struct Entry {
  std::string name;
  Shape shape;
  DType type;
  uint64_t begin, end;  // in the data
};

Entry entry_of(const std::string& name, const nlohmann::ordered_json& value, const fs::path& path) {
  std::string what = fmt::format("{}: tensor {}", path.string(), name);
  auto type_name = value.at("dtype").get<std::string>();
  std::optional<DType> type = type_named(type_name);
  if (!type) {
    throw DataError(
        "{}: has the dtype {}, which this build does not read (it reads F32, F64, F16, BF16, I32, "
        "I64, U8, U16)",
        what, type_name);
  }
  auto natural = [&](const nlohmann::ordered_json& number) {
    if (!number.is_number_unsigned()) throw DataError("{}: {} is no natural number", what, number.dump());
    return number.get<uint64_t>();
  };
  std::vector<int64_t> extents;
  if (!value.at("shape").is_array()) throw DataError("{}: its shape is no list", what);
  for (const auto& extent : value.at("shape")) {
    uint64_t number = natural(extent);
    if (number > INT64_MAX) throw DataError("{}: the extent {} is larger than any file", what, number);
    extents.push_back(static_cast<int64_t>(number));
  }
  const auto& offsets = value.at("data_offsets");
  if (!offsets.is_array() || offsets.size() != 2) {
    throw DataError("{}: its data_offsets are no pair", what);
  }
  Entry entry{name, Shape(extents), *type, natural(offsets[0]), natural(offsets[1])};
  size_t bytes = checked_bytes(entry.shape, size_of(entry.type), what);
  if (entry.begin > entry.end || entry.end - entry.begin != bytes) {
    throw DataError("{}: {} of shape {} takes {} bytes, its data_offsets are {} to {}", what, type_name,
                    entry.shape.to_string(), bytes, entry.begin, entry.end);
  }
  return entry;
}

// Side by side from the first byte to the last.
void check_places(std::vector<Entry> entries, uint64_t data_bytes, const fs::path& path) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t at = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != at) {
      throw DataError("{}: the data of tensor {} begin at byte {}, {} the data before, which end at {}",
                      path.string(), entry.name, entry.begin,
                      entry.begin < at ? "inside" : "with a hole after", at);
    }
    at = entry.end;
  }
  if (at != data_bytes) {
    throw DataError("{}: its header tells of {} bytes of data, the file has {}: it is cut short or damaged",
                    path.string(), at, data_bytes);
  }
}

}  // namespace

TensorFile read_safetensors(const fs::path& path) {
  uint64_t file_bytes = size_of_file(path);
  std::ifstream stream(path, std::ios::binary);
  auto read = [&](void* to, uint64_t bytes) {
    stream.read(static_cast<char*>(to), static_cast<std::streamsize>(bytes));
    if (!stream) throw IoError("{}: cannot be read", path.string());
  };
  uint64_t header_bytes = 0;
  if (file_bytes < sizeof header_bytes) {
    throw DataError("{}: is no safetensors file: it has {} bytes", path.string(), file_bytes);
  }
  read(&header_bytes, sizeof header_bytes);
  if (header_bytes > header_limit) {
    throw DataError("{}: is no safetensors file: its header would have {} bytes, {} are allowed",
                    path.string(), header_bytes, header_limit);
  }
  if (header_bytes > file_bytes - sizeof header_bytes) {
    throw DataError("{}: is cut short: its header has {} bytes, the whole file {}", path.string(),
                    header_bytes, file_bytes);
  }
  std::string text(header_bytes, '\0');
  read(text.data(), header_bytes);
  if (text.empty() || text.front() != '{') {
    throw DataError("{}: is no safetensors file: its header does not begin with {{", path.string());
  }
  // nlohmann-json takes a zero byte for the end and would look no further.
  if (text.find('\0') != std::string::npos) {
    throw DataError("{}: its header is no JSON: it has a zero byte in it", path.string());
  }
  nlohmann::ordered_json header = parse_header(text, path);

  TensorFile file;
  std::vector<Entry> entries;
  try {
    for (const auto& [name, value] : header.items()) {
      if (name == metadata_name) {
        file.metadata = value.get<FileMetadata>();
      } else {
        entries.push_back(entry_of(name, value, path));
      }
    }
  } catch (const nlohmann::json::exception& error) {
    throw DataError("{}: its header is not as safetensors has it: {}", path.string(), error.what());
  }
  uint64_t data_begin = sizeof header_bytes + header_bytes;
  check_places(entries, file_bytes - data_begin, path);
  for (const Entry& entry : entries) {
    file.tensors.push_back({entry.name, entry.shape, entry.type, {}});
    std::vector<std::byte>& bytes = file.tensors.back().bytes;
    bytes.resize(entry.end - entry.begin);
    stream.seekg(static_cast<std::streamoff>(data_begin + entry.begin));
    read(bytes.data(), bytes.size());
  }
  return file;
}

void write_safetensors(const fs::path& path, std::span<const TensorBytes> tensors,
                       const FileMetadata& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[metadata_name] = metadata;
  uint64_t at = 0;
  for (const TensorBytes& tensor : tensors) {
    if (header.contains(tensor.name)) {
      throw DataError("{}: cannot hold two tensors named {}", path.string(), tensor.name);
    }
    header[tensor.name] = {{"dtype", name_of_type(tensor.type)},
                           {"shape", tensor.shape.extents()},
                           {"data_offsets", {at, at + tensor.bytes.size()}}};
    at += tensor.bytes.size();
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception& error) {
    throw DataError("{}: a name or a metadata text is not UTF-8: {}", path.string(), error.what());
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that data are aligned
  if (text.size() > header_limit) {
    throw DataError("{}: the header would have {} bytes, safetensors allows {}", path.string(), text.size(),
                    header_limit);
  }

  PendingFile pending(path);
  std::ofstream stream(pending.aside(), std::ios::binary | std::ios::trunc);
  uint64_t header_bytes = text.size();
  stream.write(reinterpret_cast<const char*>(&header_bytes), sizeof header_bytes);
  stream.write(text.data(), static_cast<std::streamsize>(text.size()));
  for (const TensorBytes& tensor : tensors) {
    stream.write(reinterpret_cast<const char*>(tensor.bytes.data()),
                 static_cast<std::streamsize>(tensor.bytes.size()));
  }
  stream.close();
  if (!stream) throw IoError("{}: cannot be written: is the disk full?", path.string());
  pending.commit();
}

}  // namespace trireme
