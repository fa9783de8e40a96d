// A journal that is cut, changed, or has lost lines: each such thing is found out, and only a torn end is
// forgiven.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/error.h"
#include "support/temporary_folder.h"
#include "sweep/journal.h"
#include "sweep/journal_story.h"

namespace trireme {
namespace {

using test::other_than_story;
using test::put_file;
using test::text_of_file;
using testing::HasSubstr;
using testing::StartsWith;

class JournalDamage : public testing::Test {
 protected:
  void SetUp() override {
    {
      JournalWriter writer(path_);
      test::append_story(writer, 0, count_);
    }
    whole_ = text_of_file(path_);
    for (size_t begin = 0; begin < whole_.size();) {
      size_t end = whole_.find('\n', begin) + 1;
      lines_.push_back(whole_.substr(begin, end - begin));
      begin = end;
    }
    ASSERT_EQ(lines_.size(), static_cast<size_t>(count_));
  }

  // What read_journal() says of this text; "" if it takes it.
  std::string refusal(std::string_view text) {
    put_file(path_, text);
    try {
      content_ = read_journal(path_);
      return "";
    } catch (const DataError& error) {
      return error.what();
    }
  }
  std::string place(size_t line) const { return path_.string() + ":" + std::to_string(line + 1) + ": "; }
  static std::string joined(const std::vector<std::string>& lines) {
    std::string text;
    for (const std::string& line : lines) text += line;
    return text;
  }

  static constexpr int64_t count_ = 9;
  test::TemporaryFolder folder_;
  std::filesystem::path path_ = folder_ / "0.trj";
  std::string whole_;
  std::vector<std::string> lines_;
  JournalContent content_;
};

TEST_F(JournalDamage, ReadsBackWhatWasWritten) {
  EXPECT_EQ(refusal(whole_), "");
  EXPECT_EQ(content_.records.size(), static_cast<size_t>(count_));
  EXPECT_EQ(other_than_story(content_), "");
  EXPECT_EQ(content_.bytes, whole_.size());
  EXPECT_EQ(content_.torn, "");
  EXPECT_THAT(lines_.back(), StartsWith("TRJ1 " + content_.chain + " {\"n\":8,"));
  JournalContent none = read_journal(folder_ / "none.trj");
  EXPECT_TRUE(none.records.empty());
  EXPECT_EQ(none.bytes, 0u);
}

// Cut anywhere: the whole lines before, and a warning unless the cut is between two.
TEST_F(JournalDamage, EveryTruncation) {
  for (size_t cut = 0; cut <= whole_.size(); ++cut) {
    std::string_view text = std::string_view(whole_).substr(0, cut);
    ASSERT_EQ(refusal(text), "") << cut;
    auto whole_lines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
    ASSERT_EQ(content_.records.size(), whole_lines) << cut;
    ASSERT_EQ(other_than_story(content_), "");
    bool between = cut == 0 || text.back() == '\n';
    ASSERT_EQ(content_.torn.empty(), between) << cut;
    ASSERT_EQ(content_.bytes + content_.torn.size(), cut);
  }
}

// What was torn is cut off by the next writer, who goes on as if it had never been.
TEST_F(JournalDamage, TheNextWriterGoesOnBehindATornLine) {
  for (size_t missing : {size_t{1}, size_t{2}, lines_.back().size() / 2, lines_.back().size() - 1}) {
    put_file(path_, std::string_view(whole_).substr(0, whole_.size() - missing));
    std::vector<std::string> told;
    {
      JournalOptions options;
      options.tell = [&told](const std::string& text) { told.push_back(text); };
      JournalWriter writer(path_, options);
      EXPECT_EQ(writer.content().records.size(), static_cast<size_t>(count_ - 1));
      test::append_story(writer, count_ - 1, count_ + 3);
    }
    ASSERT_EQ(told.size(), 1u);
    EXPECT_THAT(told[0], testing::AllOf(StartsWith(path_.string()), HasSubstr("behind 8 whole records")));
    content_ = read_journal(path_);
    EXPECT_EQ(content_.records.size(), static_cast<size_t>(count_ + 3));
    EXPECT_EQ(other_than_story(content_), "");
    EXPECT_EQ(content_.torn, "");
  }
}

// Each byte changed in several ways: the line is named, or it was the end that is torn now.
TEST_F(JournalDamage, EveryChangedByte) {
  int torn = 0;
  size_t line = 0;
  for (size_t at = 0; at < whole_.size(); ++at) {
    for (int mask : {0x01, 0x10, 0x80, whole_[at] ^ '\n', +whole_[at]}) {
      if (mask == 0) continue;
      std::string text = whole_;
      text[at] = static_cast<char>(text[at] ^ mask);
      std::string said = refusal(text);
      if (said.empty()) {
        ++torn;
        ASSERT_EQ(line, lines_.size() - 1) << "only the last line may be torn, not at byte " << at;
        ASSERT_EQ(content_.records.size(), lines_.size() - 1);
        ASSERT_EQ(other_than_story(content_), "");
        ASSERT_FALSE(content_.torn.empty()) << at;
      } else {
        ASSERT_THAT(said, StartsWith(place(line))) << at;
        ASSERT_THAT(
            said,
            HasSubstr(
                "truncate -s " +
                std::to_string(
                    joined({lines_.begin(), lines_.begin() + static_cast<std::ptrdiff_t>(line)}).size())));
      }
    }
    if (whole_[at] == '\n') ++line;
  }
  EXPECT_GT(torn, 0);
  EXPECT_LT(torn, static_cast<int>(lines_.back().size()) + 20) << "zeros, and another end";
}

TEST_F(JournalDamage, LinesRemovedDoubledOrMoved) {
  for (size_t i = 0; i < lines_.size(); ++i) {
    if (i + 1 < lines_.size()) {  // the last one's loss cannot be seen
      std::vector<std::string> less = lines_;
      less.erase(less.begin() + static_cast<std::ptrdiff_t>(i));
      std::string said = refusal(joined(less));
      EXPECT_THAT(said, StartsWith(place(i)));
      EXPECT_THAT(said,
                  HasSubstr("is record " + std::to_string(i + 1) + " where record " + std::to_string(i)));
    }
    std::vector<std::string> more = lines_;
    more.insert(more.begin() + static_cast<std::ptrdiff_t>(i), lines_[i]);
    EXPECT_THAT(refusal(joined(more)), StartsWith(place(i + 1)));
    for (size_t k = 0; k < i; ++k) {
      std::vector<std::string> swapped = lines_;
      std::swap(swapped[i], swapped[k]);
      EXPECT_THAT(refusal(joined(swapped)), StartsWith(place(k)));
    }
  }
}

// A line of another journal, though whole in itself and of the right number.
TEST_F(JournalDamage, AnotherJournalsLine) {
  std::filesystem::path other = folder_ / "1.trj";
  {
    JournalWriter writer(other);
    test::append_story(writer, 1, 2);
    test::append_story(writer, 1, count_);
  }
  std::string text = text_of_file(other);
  size_t second = text.find('\n') + 1;
  std::vector<std::string> mixed = lines_;
  mixed[1] = text.substr(second, text.find('\n', second) + 1 - second);
  EXPECT_THAT(refusal(joined(mixed)), StartsWith(place(1)));
}

// A disk may have got a line's length, and not all of it.
TEST_F(JournalDamage, ZerosAtTheEndAreATornLineAndElsewhereDamage) {
  std::string zeros(5000, '\0');
  EXPECT_EQ(refusal(whole_ + zeros), "");
  EXPECT_EQ(content_.records.size(), lines_.size());
  EXPECT_EQ(content_.torn.size(), zeros.size());
  std::string holed = whole_;
  std::fill_n(holed.end() - 20, 10, '\0');
  EXPECT_EQ(refusal(holed), "");
  EXPECT_EQ(content_.records.size(), lines_.size() - 1);
  EXPECT_THAT(refusal(whole_ + zeros + "\n" + lines_.back()), StartsWith(place(lines_.size())));
  holed = whole_;
  std::fill_n(holed.begin() + static_cast<std::ptrdiff_t>(lines_[0].size()) + 5, 10, '\0');
  EXPECT_THAT(refusal(holed), StartsWith(place(1)));
}

TEST_F(JournalDamage, WhatIsNoJournal) {
  EXPECT_THAT(refusal("\n"), HasSubstr("no line of a sweep's journal"));
  EXPECT_THAT(refusal("TRJ1\n"), StartsWith(place(0)));
  EXPECT_THAT(refusal("TRJ1 0123\n"), HasSubstr("no checksum"));
  EXPECT_THAT(refusal("TRJ2 " + lines_[0].substr(5)), HasSubstr("'TRJ2'"));
  EXPECT_THAT(refusal(whole_ + "hello\n"), StartsWith(place(lines_.size())));
  std::filesystem::create_directories(folder_ / "folder.trj");
  EXPECT_THROW(read_journal(folder_ / "folder.trj"), IoError);
}

// Beside the writer: whatever part of a line has arrived, nothing is taken twice, lost or refused.
TEST_F(JournalDamage, AReaderBesideTheWriter) {
  JournalContent content;
  EXPECT_TRUE(read_more(folder_ / "1.trj", content).empty());
  std::string zeros(100, '\0');
  size_t records = 0;
  for (size_t bytes = 0; bytes <= whole_.size(); bytes += 7) {
    put_file(path_, whole_.substr(0, bytes) + (bytes % 2 ? zeros : ""));
    records += read_more(path_, content).size();
    ASSERT_EQ(records, content.records.size());
    ASSERT_EQ(records, static_cast<size_t>(std::count(
                           whole_.begin(), whole_.begin() + static_cast<std::ptrdiff_t>(bytes), '\n')));
  }
  // Zeros before a line that is there already: a page is missing still.
  std::string holed = whole_;
  std::fill_n(holed.begin() + static_cast<std::ptrdiff_t>(lines_[0].size()) + 5, 10, '\0');
  content = {};
  put_file(path_, holed);
  EXPECT_EQ(read_more(path_, content).size(), 1u);
  put_file(path_, whole_);
  EXPECT_EQ(read_more(path_, content).size(), lines_.size() - 1);
  EXPECT_TRUE(read_more(path_, content).empty());
  EXPECT_EQ(other_than_story(content), "");
  put_file(path_, whole_ + lines_.back());
  EXPECT_THROW(read_more(path_, content), DataError);
  put_file(path_, lines_[0]);
  EXPECT_THROW(read_more(path_, content), DataError) << "shorter than it was";
  std::filesystem::remove(path_);
  EXPECT_THROW(read_more(path_, content), DataError);
}

}  // namespace
}  // namespace trireme
