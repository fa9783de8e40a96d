#include "train/profile/trace.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>

#include "exec/program.h"
#include "train/profile/figures.h"

namespace trireme {
namespace {

using Time = StepTimeline::Clock::time_point;

constexpr int64_t least_seam_nanoseconds = 1000;

std::string json_string(std::string_view text) { return nlohmann::json(text).dump(); }

// Events of one rank, one after the other.
class Writer {
 public:
  Writer(int rank, Time origin) : rank_(rank), origin_(origin) {}

  // What a lane or (lane < 0) the rank is called.
  void name(int lane, std::string_view text) {
    separate();
    text_ += fmt::format(R"({{"ph":"M","pid":{},"tid":{},"name":"{}","args":{{"name":{}}}}})", rank_,
                         lane < 0 ? 0 : lane, lane < 0 ? "process_name" : "thread_name", json_string(text));
  }
  // `labels`: "name":"...","cat":"..." and what else there is.
  void event(int lane, Time begin, Time end, std::string_view labels) {
    separate();
    text_ += fmt::format(R"({{"ph":"X","pid":{},"tid":{},"ts":{},"dur":{},{}}})", rank_, lane,
                         microseconds(since_origin(begin)),
                         microseconds(since_origin(end) - since_origin(begin)), labels);
  }
  int64_t since_origin(Time time) const {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(time - origin_).count();
  }
  std::string take() { return std::move(text_); }

 private:
  // In nanoseconds' steps, so that neighbours meet exactly.
  static std::string microseconds(int64_t nanoseconds) {
    return fmt::format("{}{}.{:03}", nanoseconds < 0 ? "-" : "", std::abs(nanoseconds) / 1000,
                       std::abs(nanoseconds) % 1000);
  }
  void separate() {
    if (!text_.empty()) text_ += ",\n";
  }

  int rank_;
  Time origin_;
  std::string text_;
};

// What each node's events say, made once.
class Labels {
 public:
  const std::string& of(const StepEvent& event) {
    auto [found, is_new] = programs_.try_emplace(event.program);
    if (is_new && event.program != nullptr) found->second = of_nodes(event.program->graph);
    if (event.program != nullptr) return found->second[static_cast<size_t>(event.node)];
    return of_part(phase_of(event, {}));
  }

 private:
  static std::vector<std::string> of_nodes(const Graph& graph) {
    std::vector<bool> forward = forward_nodes(graph);
    std::vector<std::string> labels;
    for (size_t n = 0; n < graph.nodes.size(); ++n) {
      const Node& node = graph.nodes[n];
      labels.push_back(fmt::format(R"("name":{},"cat":"{}","args":{{"origin":{},"output":{}}})",
                                   json_string(node.op),
                                   name_of(forward[n] ? Phase::forward : Phase::backward),
                                   json_string(node.origin), json_string(output_text(graph, node))));
    }
    return labels;
  }
  const std::string& of_part(Phase phase) {
    std::string& label = parts_[phase];
    if (label.empty()) label = fmt::format(R"("name":"{0}","cat":"{0}")", name_of(phase));
    return label;
  }

  std::map<const Program*, std::vector<std::string>> programs_;
  std::map<Phase, std::string> parts_;
};

}  // namespace

std::string trace_events(const StepRecording& recording, int rank, Time origin, size_t most_events) {
  Writer writer(rank, origin);
  writer.name(-1, fmt::format("rank {}", rank));
  writer.name(steps_lane, "steps");
  writer.name(parts_lane, "parts of the step");
  if (!recording.exchanges.empty()) writer.name(exchange_lane, "communication thread");

  Labels labels;
  Time at = recording.begin;
  size_t event = 0;
  for (size_t step = 0; step < recording.step_ends.size(); ++step) {
    if (step > 0 && recording.step_ends[step] > most_events) break;
    Time begin = at;
    for (; event < recording.step_ends[step]; ++event) {
      const StepEvent& done = recording.events[event];
      if (done.part == StepPart::kernel ||
          writer.since_origin(done.end) - writer.since_origin(at) >= least_seam_nanoseconds) {
        writer.event(parts_lane, at, done.end, labels.of(done));
      }
      at = done.end;
    }
    writer.event(steps_lane, begin, at, fmt::format(R"("name":"step {}","cat":"step")", step + 1));
  }
  for (const ExchangeEvent& exchange : recording.exchanges) {
    if (exchange.begin >= at) break;
    writer.event(exchange_lane, exchange.begin, exchange.end,
                 fmt::format(R"("name":"exchange {}","cat":"exchange")", exchange.job));
  }
  return writer.take();
}

std::string trace_file(const std::vector<std::string>& events_of_ranks) {
  return fmt::format("{{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n{}\n]}}\n",
                     fmt::join(events_of_ranks, ",\n"));
}

}  // namespace trireme
