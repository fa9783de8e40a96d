#include "sweep/record.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"

namespace trireme {
namespace {

using Json = nlohmann::ordered_json;  // its dump() writes the shortest text that reads back to the same bits
using Pairs = std::vector<std::pair<std::string, std::string>>;

// JSON knows neither nan nor infinities.
Json number_json(double value) {
  if (std::isnan(value)) return nullptr;
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

Json numbers_json(const std::vector<double>& values) {
  Json array = Json::array();
  for (double value : values) array.push_back(number_json(value));
  return array;
}

Json values_json(const Pairs& values) {
  Json object = Json::object();
  for (const auto& [key, literal] : values) object[key] = literal;
  return object;
}

void write(Json& line, const StartRecord& start) {
  line["event"] = "start";
  line["sweep"] = start.sweep;
  line["ranks"] = start.ranks;
  line["version"] = start.version;
  if (start.steps) line["steps"] = true;
}

void write(Json& line, const SuggestRecord& suggest) {
  line["event"] = "suggest";
  line["trial"] = suggest.trial;
  line["values"] = values_json(suggest.values);
  line["point"] = numbers_json(suggest.point);
  line["width"] = suggest.width;
  line["based_on"] = suggest.based_on;
  line["parent"] = suggest.parent;
}

void write(Json& line, const BeginRecord& begin) {
  line["event"] = "begin";
  line["trial"] = begin.trial;
  line["attempt"] = begin.attempt;
  line["resumed"] = begin.resumed;
  line["ranks"] = begin.ranks;
  line["source"] = begin.source;
  line["values"] = values_json(begin.values);
  line["point"] = numbers_json(begin.point);
}

void write(Json& line, const ReportRecord& report) {
  line["event"] = "report";
  line["trial"] = report.trial;
  line["epoch"] = report.epoch;
  line["step"] = report.step;
  line["seconds"] = number_json(report.seconds);
  Json& figures = line["figures"] = Json::object();
  for (const auto& [name, value] : report.figures) figures[name] = number_json(value);
  line["scores"] = numbers_json(report.scores);
}

void write(Json& line, const DecisionRecord& decision) {
  line["event"] = "decision";
  line["trial"] = decision.trial;
  line["epoch"] = decision.epoch;
  line["verdict"] = decision.verdict;
  line["reason"] = decision.reason;
}

void write(Json& line, const EndRecord& end) {
  line["event"] = "end";
  line["trial"] = end.trial;
  line["state"] = end.state;
  line["reason"] = end.reason;
  line["seconds"] = number_json(end.seconds);
  line["steps"] = end.steps;
}

void write(Json& line, const CloseRecord& close) {
  line["event"] = "close";
  line["state"] = close.state;
  line["reason"] = close.reason;
}

// The fields of one record: each is asked for once, and what nobody has asked for is an error too, since a
// record of a later version may mean something else by what is left out here.
class Fields {
 public:
  explicit Fields(const Json& object) : object_(object) {
    if (!object.is_object()) throw DataError("is no JSON object");
  }

  std::string text(const char* key) {
    const Json& value = get(key);
    if (!value.is_string()) throw_wrong(key, "a text");
    return value.get<std::string>();
  }

  bool has(const char* key) const { return object_.contains(key); }

  bool truth(const char* key) {
    const Json& value = get(key);
    if (!value.is_boolean()) throw_wrong(key, "true or false");
    return value.get<bool>();
  }

  template <class Integer>
  Integer integer(const char* key) {
    return integer_of<Integer>(key, get(key));
  }

  double number(const char* key) { return number_of(key, get(key)); }

  std::vector<double> numbers(const char* key) {
    std::vector<double> values;
    for (const Json& value : array(key)) values.push_back(number_of(key, value));
    return values;
  }

  std::vector<int> integers(const char* key) {
    std::vector<int> values;
    for (const Json& value : array(key)) values.push_back(integer_of<int>(key, value));
    return values;
  }

  Pairs values(const char* key) {
    Pairs pairs;
    for (const auto& [name, value] : object(key).items()) {
      if (!value.is_string()) throw_wrong(key, "an object of texts");
      pairs.emplace_back(name, value.get<std::string>());
    }
    return pairs;
  }

  std::vector<std::pair<std::string, double>> figures(const char* key) {
    std::vector<std::pair<std::string, double>> pairs;
    for (const auto& [name, value] : object(key).items()) pairs.emplace_back(name, number_of(key, value));
    return pairs;
  }

  void end() const {
    if (asked_ == object_.size()) return;
    throw DataError(
        "has fields that this version does not know (of {}, {} are known): was it written by a later "
        "version of trireme-sweep? Go on with that one",
        object_.size(), asked_);
  }

 private:
  const Json& get(const char* key) {
    auto found = object_.find(key);
    if (found == object_.end()) throw DataError("lacks '{}'", key);
    ++asked_;
    return *found;
  }

  const Json& array(const char* key) {
    const Json& value = get(key);
    if (!value.is_array()) throw_wrong(key, "a list");
    return value;
  }

  const Json& object(const char* key) {
    const Json& value = get(key);
    if (!value.is_object()) throw_wrong(key, "an object");
    return value;
  }

  template <class Integer>
  static Integer integer_of(const char* key, const Json& value) {
    if (!value.is_number_integer()) throw_wrong(key, "a whole number");
    bool fits = value.is_number_unsigned() ? std::in_range<Integer>(value.get<uint64_t>())
                                           : std::in_range<Integer>(value.get<int64_t>());
    if (!fits) throw_wrong(key, "a whole number of a size that can be");
    return static_cast<Integer>(value.get<int64_t>());
  }

  static double number_of(const char* key, const Json& value) {
    if (value.is_number()) return value.get<double>();
    if (value.is_null()) return std::numeric_limits<double>::quiet_NaN();
    if (value == "inf") return std::numeric_limits<double>::infinity();
    if (value == "-inf") return -std::numeric_limits<double>::infinity();
    throw_wrong(key, "a number");
  }

  [[noreturn]] static void throw_wrong(const char* key, const char* right) {
    throw DataError("its '{}' is not {}", key, right);
  }

  const Json& object_;
  size_t asked_ = 0;
};

StartRecord read_start(Fields& fields) {
  StartRecord start;
  start.sweep = fields.text("sweep");
  start.ranks = fields.integer<int>("ranks");
  start.version = fields.text("version");
  if (fields.has("steps")) start.steps = fields.truth("steps");
  return start;
}

SuggestRecord read_suggest(Fields& fields) {
  SuggestRecord suggest;
  suggest.trial = fields.integer<int64_t>("trial");
  suggest.values = fields.values("values");
  suggest.point = fields.numbers("point");
  suggest.width = fields.integer<int>("width");
  suggest.based_on = fields.integer<int64_t>("based_on");
  suggest.parent = fields.integer<int64_t>("parent");
  return suggest;
}

BeginRecord read_begin(Fields& fields) {
  BeginRecord begin;
  begin.trial = fields.integer<int64_t>("trial");
  begin.attempt = fields.integer<int>("attempt");
  begin.resumed = fields.truth("resumed");
  begin.ranks = fields.integers("ranks");
  begin.source = fields.integer<int64_t>("source");
  begin.values = fields.values("values");
  begin.point = fields.numbers("point");
  return begin;
}

ReportRecord read_report(Fields& fields) {
  ReportRecord report;
  report.trial = fields.integer<int64_t>("trial");
  report.epoch = fields.integer<int64_t>("epoch");
  report.step = fields.integer<int64_t>("step");
  report.seconds = fields.number("seconds");
  report.figures = fields.figures("figures");
  report.scores = fields.numbers("scores");
  return report;
}

DecisionRecord read_decision(Fields& fields) {
  DecisionRecord decision;
  decision.trial = fields.integer<int64_t>("trial");
  decision.epoch = fields.integer<int64_t>("epoch");
  decision.verdict = fields.text("verdict");
  decision.reason = fields.text("reason");
  return decision;
}

EndRecord read_end(Fields& fields) {
  EndRecord end;
  end.trial = fields.integer<int64_t>("trial");
  end.state = fields.text("state");
  end.reason = fields.text("reason");
  end.seconds = fields.number("seconds");
  end.steps = fields.integer<int64_t>("steps");
  return end;
}

CloseRecord read_close(Fields& fields) {
  CloseRecord close;
  close.state = fields.text("state");
  close.reason = fields.text("reason");
  return close;
}

}  // namespace

std::string to_json(const Record& record) {
  Json line = {{"n", record.number}, {"time", number_json(record.time)}};
  std::visit([&line](const auto& what) { write(line, what); }, record.what);
  // Reasons come from anywhere: bytes that are no UTF-8 must not make a record unwritable.
  return line.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Record record_from_json(std::string_view json) {
  Json object = Json::parse(json, nullptr, false);
  if (object.is_discarded()) throw DataError("is no JSON");
  Fields fields(object);
  Record record;
  record.number = fields.integer<int64_t>("n");
  record.time = fields.number("time");
  std::string event = fields.text("event");
  try {
    if (event == "start") {
      record.what = read_start(fields);
    } else if (event == "suggest") {
      record.what = read_suggest(fields);
    } else if (event == "begin") {
      record.what = read_begin(fields);
    } else if (event == "report") {
      record.what = read_report(fields);
    } else if (event == "decision") {
      record.what = read_decision(fields);
    } else if (event == "end") {
      record.what = read_end(fields);
    } else if (event == "close") {
      record.what = read_close(fields);
    } else {
      throw DataError(
          "is of no kind that this version knows: was it written by a later version of trireme-sweep?");
    }
    fields.end();
  } catch (const DataError& error) {
    throw DataError("record {}, '{}', {}", record.number, event, error.what());
  }
  return record;
}

}  // namespace trireme
