#include "inspect/npy.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/error.h"

namespace trireme {
namespace {

constexpr std::string_view magic = "\x93NUMPY";
constexpr size_t text_limit = size_t{1} << 20;

struct Description {
  std::string_view text;
  DType type;
};
constexpr std::array<Description, 7> descriptions{{{"<f4", DType::float32},
                                                   {"<f8", DType::float64},
                                                   {"<f2", DType::float16},
                                                   {"<i4", DType::int32},
                                                   {"<i8", DType::int64},
                                                   {"|u1", DType::uint8},
                                                   {"<u2", DType::uint16}}};

// A Python dictionary of the three keys, read from left to right.
class Literal {
 public:
  Literal(std::string_view text, const std::string& what) : rest_(text), what_(what) {}

  NpyHeader parse() {
    NpyHeader header;
    bool type = false, order = false, shape = false;
    expect('{');
    while (!accept('}')) {
      std::string key = quoted();
      expect(':');
      if (key == "descr" && !type) {
        header.type = description();
        type = true;
      } else if (key == "fortran_order" && !order) {
        header.fortran_order = boolean();
        order = true;
      } else if (key == "shape" && !shape) {
        header.shape = tuple();
        shape = true;
      } else {
        fail(fmt::format("has the key '{}' twice, or it is none of an array's", key));
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (!rest_.empty()) fail("goes on after its end");
    if (!type || !order || !shape) fail("lacks 'descr', 'fortran_order' or 'shape'");
    return header;
  }

 private:
  [[noreturn]] void fail(const std::string& fault) const {
    throw DataError("{}: its npy header {}", what_, fault);
  }
  void skip_space() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\n')) rest_.remove_prefix(1);
  }
  bool accept(char letter) {
    skip_space();
    if (rest_.empty() || rest_.front() != letter) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char letter) {
    if (!accept(letter)) fail(fmt::format("has no '{}' where one should be", letter));
  }
  std::string quoted() {
    skip_space();
    char quote = rest_.empty() ? '\0' : rest_.front();
    size_t end = quote == '\'' || quote == '"' ? rest_.find(quote, 1) : std::string_view::npos;
    if (end == std::string_view::npos) fail("has no text where one should be");
    std::string text(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return text;
  }
  DType description() {
    skip_space();
    if (!rest_.empty() && rest_.front() == '[') fail("is of records, which are no tensor");
    std::string text = quoted();
    for (const Description& one : descriptions) {
      if (one.text == text) return one.type;
    }
    fail(
        fmt::format("has the dtype '{}', which this build does not read (it reads <f2, <f4, <f8, <i4, <i8, "
                    "|u1, <u2)",
                    text));
  }
  bool boolean() {
    skip_space();
    for (bool value : {true, false}) {
      std::string_view word = value ? "True" : "False";
      if (!rest_.starts_with(word)) continue;
      rest_.remove_prefix(word.size());
      return value;
    }
    fail("has no True or False where one should be");
  }
  Shape tuple() {
    std::vector<int64_t> extents;
    expect('(');
    while (!accept(')')) {
      skip_space();
      int64_t extent = 0;
      auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), extent);
      if (error != std::errc() || extent < 0) fail("has a shape that is none");
      rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
      accept('L');  // as Python 2 wrote long integers
      extents.push_back(extent);
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return Shape(extents);
  }

  std::string_view rest_;
  const std::string& what_;
};

}  // namespace

NpyPrefix parse_npy_prefix(std::string_view prefix, const std::string& what) {
  if (!prefix.starts_with(magic)) throw DataError("{}: is no npy array", what);
  auto version = static_cast<unsigned char>(prefix.at(magic.size()));
  if (version < 1 || version > 3) throw DataError("{}: has npy version {}, known are 1 to 3", what, version);
  NpyPrefix result;
  if (version == 1) {
    uint16_t length = 0;
    std::memcpy(&length, prefix.data() + 8, sizeof length);
    result = {npy_prefix_bytes, length};
  } else {
    uint32_t length = 0;
    std::memcpy(&length, prefix.data() + 8, sizeof length);
    result = {npy_prefix_bytes + 2, length};
  }
  if (result.text_bytes > text_limit) {
    throw DataError("{}: its npy header would have {} bytes", what, result.text_bytes);
  }
  return result;
}

NpyHeader parse_npy_text(std::string_view text, const std::string& what) {
  return Literal(text, what).parse();
}

std::string npy_header(DType type, const Shape& shape, const std::string& what) {
  auto found = std::find_if(descriptions.begin(), descriptions.end(),
                            [&](const Description& one) { return one.type == type; });
  if (found == descriptions.end()) throw DataError("{}: NumPy has no {}", what, name_of(type));
  std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", found->text,
                                 fmt::join(shape.extents(), ", "), shape.rank() == 1 ? "," : "");
  // Data begin at a multiple of 64.
  size_t whole = (npy_prefix_bytes + text.size() + 1 + 63) / 64 * 64;
  text.resize(whole - npy_prefix_bytes - 1, ' ');
  text += '\n';
  auto length = static_cast<uint16_t>(text.size());
  if (text.size() > UINT16_MAX) throw DataError("{}: the shape has too many extents", what);
  std::string header(magic);
  header += std::string("\x01\x00", 2);
  header.append(reinterpret_cast<const char*>(&length), sizeof length);
  return header + text;
}

}  // namespace trireme
