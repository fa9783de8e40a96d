// CSV to tables: the reader's rules, what columns are found to be, faults by file, line and column.
#include <gtest/gtest.h>

#include "data/csv_reader.h"
#include "data/samples.h"

namespace trireme {
namespace {

using namespace test;
using Rows = std::vector<std::vector<std::string>>;

class PrepareCsv : public testing::Test {
 protected:
  PrepareCsv() {
    config_.kind = "csv";
    config_.files = {folder_ / "table.csv"};
    config_.output = folder_ / "out.h5";
    config_.target = {"y"};
    config_.origin = "test.toml:1";
  }
  void write(const std::string& text) { put(folder_ / "table.csv", text); }
  Rows rows(const std::string& text, char delimiter = ',') {
    write(text);
    CsvReader reader(folder_ / "table.csv", delimiter);
    Rows all;
    std::vector<std::string_view> cells;
    while (reader.next(cells)) all.emplace_back(cells.begin(), cells.end());
    return all;
  }
  h5::Handle open(const std::string& path, const std::string& name = "out.h5") {
    file_ = h5::open_file(folder_ / name);
    return h5::open_dataset(file_, path);
  }
  std::vector<float> values(const std::string& path, const std::string& name = "out.h5") {
    h5::Handle dataset = open(path, name);
    std::vector<float> all(static_cast<size_t>(h5::shape_of(dataset).elements()));
    h5::read_all(dataset, DType::float32, all.data());
    return all;
  }
  void expect_bad(const std::string& text, std::initializer_list<std::string> parts) {
    write(text);
    expect_error(ExitCode::bad_data, parts, [&] { prepare(config_); });
    EXPECT_FALSE(std::filesystem::exists(config_.output));
  }
  TemporaryFolder folder_;
  PrepareDatasetConfig config_;
  h5::Handle file_;
};

TEST_F(PrepareCsv, ReadsWhatTheStandardSays) {
  EXPECT_EQ(rows("a,b\r\n1,2\n"), (Rows{{"a", "b"}, {"1", "2"}}));
  EXPECT_EQ(rows("a,,\n,"), (Rows{{"a", "", ""}, {"", ""}}));
  EXPECT_EQ(rows("\"a,\"\"b\"\"\nc\",d"), (Rows{{"a,\"b\"\nc", "d"}}));
  EXPECT_EQ(rows("\xEF\xBB\xBF"
                 "a;b",
                 ';'),
            (Rows{{"a", "b"}}))
      << "a byte order mark";
  EXPECT_EQ(rows("a\n\n\r\nb\n"), (Rows{{"a"}, {"b"}})) << "empty lines";
  EXPECT_EQ(rows("\"\"\n"), (Rows{{""}})) << "a quoted empty cell is one";
  EXPECT_TRUE(rows("").empty());
}

TEST_F(PrepareCsv, FindsWhatColumnsAre) {
  write("size,colour,code,y\n1,red,7,no\n2.5,green,8,yes\n-1e1, red ,7,no\n");
  config_.categories = {"code"};
  auto made = prepare(config_);
  EXPECT_EQ(
      made[0].summary,
      "3 rows of 5 features, 2 classes; columns size (number), colour (category 2), code (category 2), y "
      "(classes)");
  EXPECT_EQ(values("/features"), (std::vector<float>{1, 0, 1, 1, 0, 2.5, 1, 0, 0, 1, -10, 0, 1, 1, 0}));
  EXPECT_EQ(values("/targets"), (std::vector<float>{0, 1, 0}));
  h5::Handle features = open("/features"), targets = open("/targets");
  EXPECT_EQ(h5::dtype_of(features), DType::float32);
  EXPECT_EQ(h5::dtype_of(targets), DType::int32);
  EXPECT_TRUE(h5::has_fletcher32(features));
  EXPECT_EQ(h5::read_strings_attribute(features, "feature_names"),
            (std::vector<std::string>{"size", "colour=green", "colour=red", "code=7", "code=8"}));
  EXPECT_EQ(h5::read_strings_attribute(targets, "class_names"), (std::vector<std::string>{"no", "yes"}));
  auto mean = h5::read_double_attribute(features, "mean"),
       deviation = h5::read_double_attribute(features, "std");
  EXPECT_NEAR(mean[0], -6.5 / 3, 1e-12);
  EXPECT_NEAR(deviation[0], std::sqrt((1 + 6.25 + 100) / 3 - mean[0] * mean[0]), 1e-12);
  EXPECT_EQ(mean[1], 0);
  EXPECT_EQ(deviation[1], 1);
}

TEST_F(PrepareCsv, RegressionHasSeveralTargets) {
  write("z,a,y\n1,2,3\n4,5,6\n");
  config_.target = {"y", "z"};
  prepare(config_);
  EXPECT_EQ(values("/targets"), (std::vector<float>{3, 1, 6, 4}));
  EXPECT_EQ(h5::shape_of(open("/targets")), (Shape{2, 2}));
  EXPECT_EQ(h5::read_strings_attribute(open("/targets"), "target_names"),
            (std::vector<std::string>{"y", "z"}));
}

TEST_F(PrepareCsv, WholeNumbersAreClassesWhereToldSo) {
  write("a,y\n1,10\n2,9\n3,10\n");
  config_.task = "classes";
  prepare(config_);
  EXPECT_EQ(h5::read_strings_attribute(open("/targets"), "class_names"),
            (std::vector<std::string>{"9", "10"}));
  EXPECT_EQ(values("/targets"), (std::vector<float>{1, 0, 1}));
}

TEST_F(PrepareCsv, NoHeaderAndOtherDelimiters) {
  write("1;2;3\n4;5;6\n");
  config_.header = false;
  config_.delimiter = ";";
  config_.target = {"column3"};
  config_.ignore = {"column1"};
  prepare(config_);
  EXPECT_EQ(values("/features"), (std::vector<float>{2, 5}));
  EXPECT_EQ(values("/targets"), (std::vector<float>{3, 6}));
}

TEST_F(PrepareCsv, MissingValuesAreFilledWhereToldSo) {
  const std::string text = "a,c,y\n1,u,1\n,v,2\nNA,,3\n5,u,4\n";
  expect_bad(text, {"table.csv", "line 3", "column `a`", "missing"});
  config_.missing = "mean";
  prepare(config_);
  EXPECT_EQ(values("/features"), (std::vector<float>{1, 1, 0, 3, 0, 1, 3, 0, 0, 5, 1, 0}));
  config_.missing = "zero";
  prepare(config_);
  EXPECT_EQ(values("/features"), (std::vector<float>{1, 1, 0, 0, 0, 1, 0, 0, 0, 5, 1, 0}));
  std::filesystem::remove(config_.output);
  expect_bad("a,y\n1,1\n2,\n", {"line 3", "column `y`", "the target is missing"});
}

TEST_F(PrepareCsv, ValidationTakesTheTrainingColumns) {
  write("a,c,y\n1,u,no\n3,v,yes\n");
  prepare(config_);
  config_.like = folder_ / "out.h5";
  config_.output = folder_ / "other.h5";
  write("a,c,y\n7,v,yes\n,u,yes\n");
  config_.missing = "mean";
  prepare(config_);
  EXPECT_EQ(values("/features", "other.h5"), (std::vector<float>{7, 0, 1, 2, 1, 0}));
  EXPECT_EQ(values("/targets", "other.h5"), (std::vector<float>{1, 1}));
  EXPECT_EQ(h5::read_double_attribute(open("/features", "other.h5"), "mean"), (std::vector<double>{2, 0, 0}));
  config_.output = folder_ / "third.h5";
  expect_bad("a,c,y\n7,w,yes\n", {"line 2", "column `c`", "\"w\"", "u, v", "out.h5"});
  expect_bad("a,c,y\n7,u,maybe\n", {"line 2", "column `y`", "\"maybe\"", "classes"});
  expect_bad("a,c,y\nseven,u,no\n", {"line 2", "column `a`", "\"seven\" is no number"});
  expect_bad("a,d,y\n7,u,no\n", {"column 2 is `d`", "`c`"});
  config_.target = {"c"};
  write("a,c,y\n7,u,no\n");
  expect_error(ExitCode::bad_config, {"target is not that of"}, [&] { prepare(config_); });
}

TEST_F(PrepareCsv, TheSplitIsTheSameEveryTime) {
  std::string text = "a,y\n";
  for (int i = 0; i < 2000; ++i) text += fmt::format("{},{}\n", i, i % 7);
  write(text);
  config_.validation_output = folder_ / "validation.h5";
  config_.validation_fraction = 0.2;
  prepare(config_);
  auto training = values("/features"), validation = values("/features", "validation.h5");
  EXPECT_EQ(training.size() + validation.size(), 2000u);
  EXPECT_NEAR(static_cast<double>(validation.size()), 400, 60);
  std::vector<float> both = training;
  both.insert(both.end(), validation.begin(), validation.end());
  std::sort(both.begin(), both.end());
  for (size_t i = 0; i < both.size(); ++i) ASSERT_EQ(both[i], static_cast<float>(i));
  double sum = 0;
  for (float one : training) sum += one;
  double mean = h5::read_double_attribute(open("/features", "validation.h5"), "mean")[0];
  EXPECT_NEAR(mean, sum / static_cast<double>(training.size()), 1e-9) << "of the training rows alone";
  std::string first = read_file(config_.output);
  EXPECT_TRUE(prepare(config_)[1].up_to_date);
  prepare(config_, true);
  EXPECT_EQ(read_file(config_.output), first);
}

TEST_F(PrepareCsv, MalformedFilesAreNamedByLine) {
  expect_bad("a,y\n1,2\n1,2,3\n", {"table.csv", "line 3", "3 cell(s)", "2 columns"});
  expect_bad("a,y\n1\n", {"line 2", "1 cell(s)"});
  expect_bad("a,y\n1,\"2\n3,4\n", {"line 2", "never closed"});
  expect_bad("a,y\n1,2\"\n", {"line 2", "a quote inside"});
  expect_bad("a,y\n1,\"2\"3\n", {"line 2", "follows the closing quote"});
  expect_bad(std::string("a,y\n1,\0\n", 8), {"line 2", "zero byte"});
  expect_bad("a,y\r1,2\r", {"line 1", "carriage return"});
  expect_bad("a,y\n", {"no rows"});
  expect_bad("", {"no rows"});
  expect_bad("a,a,y\n1,2,3\n", {"two columns are called `a`"});
  expect_bad("a,y\n\"" + std::string((1 << 20) + 1, 'x') + "\",1\n", {"line 2", "1 MiB"});
}

TEST_F(PrepareCsv, MalformedCellsAreNamedByColumn) {
  expect_bad("a,y\n1,1\n2,1\nx3,2\n", {"line 4", "column `a`", "\"x3\" is no number"});
  expect_bad("a,y\nu,1\n2,1\nv,2\n", {"line 3", "column `a`", "\"2\" is a number", "categories"});
  expect_bad("a,y\n1,1\n2,x\n", {"line 3", "column `y`", "\"x\"", "task = \"classes\""});
  expect_bad("a,y\ninf,1\n1,1\n2,1\n", {"line 2", "\"inf\""});
  expect_bad("a,y\n1e39,1\n1,1\n2,1\n", {"line 2", "\"1e39\""});
  expect_bad("a,y\n\xff,1\n", {"line 2", "column `a`", "UTF-8"});
  expect_bad("a,b,y\n1,,1\n", {"column `b`", "no values", "ignore"});
  expect_bad("a,y\n1,u\n2,u\n", {"column `y`", "nothing to tell apart"});
  expect_bad("y\n1\n2\n", {"no column is left"});
  std::string texts = "a,y\n";
  for (int i = 0; i < 1001; ++i) texts += fmt::format("text {},1\n", i);
  expect_bad(texts, {"column `a`", "more than 1000", "ignore"});
  config_.target = {"z"};
  write("a,y\n1,2\n");
  expect_error(ExitCode::bad_config, {"test.toml:1", "no column `z`", "a, y"}, [&] { prepare(config_); });
}

TEST_F(PrepareCsv, SeveralFilesMustAgree) {
  write("a,y\n1,2\n");
  put(folder_ / "more.csv", "a,y\n3,4\n");
  config_.files.push_back(folder_ / "more.csv");
  prepare(config_);
  EXPECT_EQ(values("/features"), (std::vector<float>{1, 3}));
  put(folder_ / "more.csv", "b,y\n3,4\n");
  expect_error(ExitCode::bad_data, {"more.csv", "its header is not that of"}, [&] { prepare(config_); });
}

}  // namespace
}  // namespace trireme
