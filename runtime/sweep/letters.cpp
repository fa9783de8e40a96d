#include "sweep/letters.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace trireme {
namespace {

using nlohmann::json;

// JSON knows neither nan nor infinities: texts say them.
json number(double value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}
double number_of(const json& value) {
  if (!value.is_string()) return value.get<double>();
  if (value == "nan") return std::numeric_limits<double>::quiet_NaN();
  double infinity = std::numeric_limits<double>::infinity();
  return value == "inf" ? infinity : -infinity;
}

// The kinds, and each with its members; put() and get() name them in the same order.
json put(const ReadyLetter&) { return {{"letter", "ready"}}; }
json put(const AskedToStopLetter&) { return {{"letter", "asked to stop"}}; }
json put(const StopLetter&) { return {{"letter", "stop"}}; }
json put(const ReportLetter& letter) {
  json figures = json::object();
  for (const auto& [name, value] : letter.measure.figures) figures[name] = number(value);
  return {{"letter", "report"},
          {"trial", letter.trial},
          {"epoch", letter.measure.epoch},
          {"step", letter.measure.step},
          {"seconds", letter.measure.seconds},
          {"figures", std::move(figures)}};
}
json put(const EndLetter& letter) {
  return {{"letter", "end"},
          {"trial", letter.trial},
          {"state", static_cast<int>(letter.end.state)},
          {"reason", letter.end.reason},
          {"steps", letter.end.steps},
          {"held", letter.end.held},
          {"thrown", letter.thrown},
          {"seconds", letter.seconds},
          {"idle_seconds", letter.idle_seconds}};
}
json put(const OrderLetter& letter) {
  return {{"letter", "order"},
          {"trial", letter.order.trial},
          {"attempt", letter.order.attempt},
          {"config", letter.order.config},
          {"run_directory", letter.order.run_directory},
          {"saves", letter.order.saves},
          {"keeps_state", letter.order.keeps_state},
          {"ranks", letter.ranks},
          {"group", letter.group},
          {"make_group", letter.make_group},
          {"own_at", letter.own_at},
          {"own_ticket", letter.own_ticket},
          {"source", letter.source},
          {"source_at", letter.source_at},
          {"source_ticket", letter.source_ticket}};
}
json put(const VerdictLetter& letter) {
  return {{"letter", "verdict"},
          {"trial", letter.trial},
          {"kind", static_cast<int>(letter.verdict.kind)},
          {"reason", letter.verdict.reason}};
}
json put(const GiveLetter& letter) {
  return {{"letter", "give"},
          {"trial", letter.trial},
          {"to", letter.to},
          {"ticket", letter.ticket},
          {"moves", letter.moves}};
}
json put(const ForgetLetter& letter) { return {{"letter", "forget"}, {"trial", letter.trial}}; }
json put(const LeaveLetter& letter) {
  return {
      {"letter", "leave"}, {"stopped", letter.stopped}, {"code", letter.code}, {"message", letter.message}};
}
json put(const StateLetter& letter) {
  return {{"letter", "state"},
          {"trial", letter.trial},
          {"ticket", letter.ticket},
          {"description", letter.description}};
}

template <class Enum>
Enum one_of(const json& value, Enum last) {
  int number = value.get<int>();
  if (number < 0 || number > static_cast<int>(last))
    throw CommError("a letter's state or verdict is {}", number);
  return static_cast<Enum>(number);
}

ReportLetter report_of(const json& object) {
  ReportLetter letter;
  object.at("trial").get_to(letter.trial);
  object.at("epoch").get_to(letter.measure.epoch);
  object.at("step").get_to(letter.measure.step);
  object.at("seconds").get_to(letter.measure.seconds);
  for (const auto& [name, value] : object.at("figures").items())
    letter.measure.figures[name] = number_of(value);
  return letter;
}
EndLetter end_of(const json& object) {
  EndLetter letter;
  object.at("trial").get_to(letter.trial);
  letter.end.state = one_of(object.at("state"), TrialEnd::State::hindered);
  object.at("reason").get_to(letter.end.reason);
  object.at("steps").get_to(letter.end.steps);
  object.at("held").get_to(letter.end.held);
  object.at("thrown").get_to(letter.thrown);
  object.at("seconds").get_to(letter.seconds);
  object.at("idle_seconds").get_to(letter.idle_seconds);
  return letter;
}
OrderLetter order_of(const json& object) {
  OrderLetter letter;
  object.at("trial").get_to(letter.order.trial);
  object.at("attempt").get_to(letter.order.attempt);
  object.at("config").get_to(letter.order.config);
  object.at("run_directory").get_to(letter.order.run_directory);
  object.at("saves").get_to(letter.order.saves);
  object.at("keeps_state").get_to(letter.order.keeps_state);
  object.at("ranks").get_to(letter.ranks);
  object.at("group").get_to(letter.group);
  object.at("make_group").get_to(letter.make_group);
  object.at("own_at").get_to(letter.own_at);
  object.at("own_ticket").get_to(letter.own_ticket);
  object.at("source").get_to(letter.source);
  object.at("source_at").get_to(letter.source_at);
  object.at("source_ticket").get_to(letter.source_ticket);
  return letter;
}

SweepLetter letter_of(const json& object) {
  std::string kind = object.at("letter");
  if (kind == "ready") return ReadyLetter{};
  if (kind == "asked to stop") return AskedToStopLetter{};
  if (kind == "stop") return StopLetter{};
  if (kind == "report") return report_of(object);
  if (kind == "end") return end_of(object);
  if (kind == "order") return order_of(object);
  if (kind == "verdict") {
    return VerdictLetter{object.at("trial"),
                         {one_of(object.at("kind"), Verdict::Kind::pause), object.at("reason")}};
  }
  if (kind == "give") {
    return GiveLetter{object.at("trial"), object.at("to"), object.at("ticket"), object.at("moves")};
  }
  if (kind == "forget") return ForgetLetter{object.at("trial")};
  if (kind == "leave") return LeaveLetter{object.at("stopped"), object.at("code"), object.at("message")};
  if (kind == "state") {
    return StateLetter{object.at("trial"), object.at("ticket"), object.at("description")};
  }
  throw CommError("there is no letter \"{}\"", kind);
}

}  // namespace

std::string to_text(const SweepLetter& letter) {
  json object = std::visit([](const auto& one) { return put(one); }, letter);
  // What a failure says of a file's name need not be UTF-8, JSON must be.
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

SweepLetter sweep_letter(std::string_view text) {
  try {
    return letter_of(json::parse(text));
  } catch (const json::exception& error) {
    throw CommError("a letter of the sweep cannot be read ({}): {:.100}", error.what(), text);
  }
}

}  // namespace trireme
