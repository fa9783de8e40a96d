#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <optional>
#include <span>
#include <utility>

#include "base/descriptor.h"
#include "base/error.h"
#include "base/hash.h"
#include "sweep/journal.h"
#include "sweep/journal_line.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view first_chain = "trireme sweep journal";

[[noreturn]] void throw_io(const fs::path& path, const char* what, int error) {
  throw IoError("{}: {}: {}", path.string(), what, std::strerror(error));
}

// From `offset` to the end, by opening it anew (which asks a network file system's server); nothing when
// there is no such file.
std::optional<std::string> read_from(const fs::path& path, uint64_t offset) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0 && errno == ENOENT) return std::nullopt;
  if (file.get() < 0) throw_io(path, "cannot open the journal", errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) throw_io(path, "cannot read the journal", errno);
  if (!S_ISREG(status.st_mode)) throw IoError("{}: is no file", path.string());
  auto size = static_cast<uint64_t>(status.st_size);
  if (size < offset) {
    throw DataError("{}: is shorter ({} bytes) than it was ({}): it is another journal, or was cut",
                    path.string(), size, offset);
  }
  std::string text(size - offset, '\0');
  size_t done = 0;
  while (done < text.size()) {
    ssize_t got =
        ::pread(file.get(), text.data() + done, text.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_io(path, "cannot read the journal", errno);
    if (got == 0) break;  // cut meanwhile
    done += static_cast<size_t>(got);
  }
  text.resize(done);
  return text;
}

struct Line {
  std::string_view digits;
  std::string_view json;
};

// Throws DataError saying what is wrong with the line.
Line split(std::string_view text) {
  if (!text.starts_with(journal_magic)) {
    if (text.starts_with("TRJ") && text.size() > 3 && text[3] != '1') {
      throw DataError(
          "is of another form of journal ('{}'): it takes the version of trireme-sweep that wrote it",
          text.substr(0, 4));
    }
    throw DataError("is no line of a sweep's journal");
  }
  text.remove_prefix(journal_magic.size());
  if (text.size() <= journal_digits || text[journal_digits] != ' ') throw DataError("has no checksum");
  return {text.substr(0, journal_digits), text.substr(journal_digits + 1)};
}

// The number that a line claims for itself, of whatever checksum.
std::optional<int64_t> number_of(std::string_view json) {
  try {
    return record_from_json(json).number;
  } catch (const DataError&) {
    return std::nullopt;
  }
}

// The line's record and digits. Throws DataError saying what is wrong with it.
std::pair<Record, std::string> read_line(std::string_view text, const JournalContent& content) {
  Line line = split(text);
  auto expected = static_cast<int64_t>(content.records.size());
  std::string digits = journal_digits_of(content.chain, line.json);
  if (digits != line.digits) {
    std::optional<int64_t> number = number_of(line.json);
    if (number && *number != expected) {
      throw DataError("is record {} where record {} should be: lines are missing, doubled or moved", *number,
                      expected);
    }
    throw DataError("does not fit its checksum: this line has been changed, or the one before it");
  }
  Record record = record_from_json(line.json);
  if (record.number != expected)
    throw DataError("is record {} where record {} should be", record.number, expected);
  return {std::move(record), std::move(digits)};
}

// Whether a line with its newline is one that a disk or a network file system has not got all of yet: zeros
// are in it. Not so where a whole record stands before the zeros, which has lost its newline alone.
bool has_holes(std::string_view line, const JournalContent& content) {
  size_t zero = line.find('\0');
  if (zero == std::string_view::npos) return false;
  try {
    read_line(line.substr(0, zero), content);
    return false;
  } catch (const DataError&) {
    return true;
  }
}

// Takes `text`, which stands in the file behind what `content` has, into it. `beside`: of a live writer.
void take_lines(const fs::path& path, std::string_view text, bool beside, JournalContent& content) {
  content.torn.clear();
  while (!text.empty()) {
    size_t length = text.find('\n');
    std::string_view line = text.substr(0, length);
    bool is_last = length != std::string_view::npos && length + 1 == text.size();
    if (length == std::string_view::npos || ((is_last || beside) && has_holes(line, content))) {
      content.torn = text;
      return;
    }
    try {
      auto [record, digits] = read_line(line, content);
      content.records.push_back(std::move(record));
      content.chain = std::move(digits);
    } catch (const DataError& error) {
      throw DataError(
          "{0}:{1}: {2}. The {3} before it are whole: put the file back from a copy, or go on from there, "
          "with a loss of "
          "what came later, by: cp {0} {0}.damaged && truncate -s {4} {0}",
          path.string(), content.records.size() + 1, error.what(), content.records.size(), content.bytes);
    }
    content.bytes += length + 1;
    text.remove_prefix(length + 1);
  }
}

}  // namespace

std::string journal_digits_of(std::string_view chain, std::string_view json) {
  std::string text(chain.empty() ? first_chain : chain);
  text += json;
  return xxh3_64_hex(std::as_bytes(std::span(text)));
}

JournalContent read_journal(const fs::path& path) {
  JournalContent content;
  if (auto text = read_from(path, 0)) take_lines(path, *text, false, content);
  return content;
}

std::vector<Record> read_more(const fs::path& path, JournalContent& content) {
  size_t known = content.records.size();
  auto text = read_from(path, content.bytes);
  if (!text && known > 0) throw DataError("{}: is gone, though it had {} records", path.string(), known);
  if (text) take_lines(path, *text, true, content);
  return {content.records.begin() + static_cast<std::ptrdiff_t>(known), content.records.end()};
}

std::string torn_warning(const fs::path& path, const JournalContent& content) {
  return fmt::format(
      "{}: the last line was not written to its end ({} bytes behind {} whole records): dropped",
      path.string(), content.torn.size(), content.records.size());
}

}  // namespace trireme
