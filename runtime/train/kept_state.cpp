#include "train/kept_state.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "train/position_card.h"
#include "train/resume.h"

namespace trireme {
namespace {

using Json = nlohmann::ordered_json;

void add_lines(const std::vector<ArenaTensor>& tensors, const char* kind, std::string& text) {
  for (const ArenaTensor& tensor : tensors) {
    text += fmt::format("{} '{}' {} at {}\n", kind, tensor.name, tensor.shape.to_string(), tensor.offset);
  }
}

std::string layout_of(Session& session) {
  std::string text;
  for (const auto& net : session.learner->nets()) {
    text += fmt::format("net '{}'\n", net->name());
    add_lines(net->arenas().layout.parameters, "parameter", text);
    add_lines(net->arenas().layout.states, "state", text);
    for (const StateSlot& slot : net->whole_state(false).slots) text += fmt::format("slot '{}'\n", slot.name);
  }
  return text;
}

// The lengths of a session's pieces, in bytes.
std::vector<size_t> lengths_of(Session& session) {
  std::vector<size_t> lengths;
  for (const auto& net : session.learner->nets()) {
    const Arenas& arenas = net->arenas();
    lengths.push_back(arenas.parameters.bytes());
    lengths.push_back(arenas.state.bytes());
    lengths.insert(lengths.end(), net->whole_state(false).slots.size(),
                   arenas.layout.parameter_elements * sizeof(float));
  }
  return lengths;
}

void resize(const std::vector<size_t>& lengths, std::vector<Buffer>& pieces) {
  pieces.resize(lengths.size());
  for (size_t i = 0; i < lengths.size(); ++i) {
    if (pieces[i].bytes() != lengths[i]) pieces[i] = Buffer(lengths[i]);
  }
}

void copy(const void* from, size_t bytes, Buffer& to) {
  if (bytes != 0) std::memcpy(to.data(), from, bytes);
}

std::string line_at(std::string_view text, size_t begin) {
  return begin >= text.size() ? "nothing" : std::string(text.substr(begin, text.find('\n', begin) - begin));
}

// What of `kept` does not fit this run; "" when all does.
std::string difference(std::string_view kept, std::string_view own) {
  if (kept == own) return "";
  size_t at = 0;
  for (size_t i = 0; i < std::min(kept.size(), own.size()) && kept[i] == own[i]; ++i) {
    if (kept[i] == '\n') at = i + 1;
  }
  return fmt::format("it has {} where this run has {}", line_at(kept, at), line_at(own, at));
}

// Slots that no rank has whole.
void collect(Net& net, std::span<Buffer> slots, bool take) {
  StateSink sink;
  if (take) {
    sink = [&](size_t slot, Range range, const float* values) {
      std::copy(values, values + range.size(), slots[slot].as<float>() + range.begin);
    };
  }
  net.collect_state(sink);
}

Json json_of_card(const PositionCard& card) {
  // Numbers that JSON cannot say come back as nan: null.
  return {{"step", card.step},
          {"samples", card.samples},
          {"train_seconds", card.train_seconds},
          {"learning_rate_factor", card.learning_rate_factor},
          {"skipped_steps", card.skipped_steps},
          {"loss_scale", card.loss_scale.scale},
          {"good_steps", card.loss_scale.good_steps},
          {"has_validation", card.has_validation},
          {"validation_step", card.validation_step},
          {"validation_epoch", card.validation_epoch},
          {"loss", card.loss},
          {"figures", card.figures}};
}

double real(const nlohmann::json& value) { return value.is_null() ? std::nan("") : value.get<double>(); }

PositionCard card_of_json(const nlohmann::json& json) {
  PositionCard card;
  card.present = 1;
  card.step = json.at("step");
  card.samples = json.at("samples");
  card.train_seconds = json.at("train_seconds");
  card.learning_rate_factor = json.at("learning_rate_factor");
  card.skipped_steps = json.at("skipped_steps");
  card.loss_scale = {json.at("loss_scale"), json.at("good_steps")};
  card.has_validation = json.at("has_validation");
  card.validation_step = json.at("validation_step");
  card.validation_epoch = json.at("validation_epoch");
  card.loss = real(json.at("loss"));
  for (size_t i = 0; i < card.figures.size(); ++i) card.figures[i] = real(json.at("figures").at(i));
  return card;
}

}  // namespace

size_t KeptState::bytes() const {
  size_t sum = 0;
  for (const Buffer& piece : pieces) sum += piece.bytes();
  return sum;
}

std::vector<std::span<const std::byte>> KeptState::views() const {
  std::vector<std::span<const std::byte>> all;
  for (const Buffer& piece : pieces) all.emplace_back(piece.data(), piece.bytes());
  return all;
}

std::vector<std::span<std::byte>> KeptState::room() {
  std::vector<std::span<std::byte>> all;
  for (Buffer& piece : pieces) all.emplace_back(piece.data(), piece.bytes());
  return all;
}

std::string describe_state(const KeptState& state) {
  std::vector<size_t> lengths;
  for (const Buffer& piece : state.pieces) lengths.push_back(piece.bytes());
  return Json{{"position", json_of_card(card_of(state.position, state.loss_scale))},
              {"layout", state.layout},
              {"lengths", lengths}}
      .dump();
}

void make_room(std::string_view description, KeptState* state) {
  try {
    auto json = nlohmann::json::parse(description);
    PositionCard card = card_of_json(json.at("position"));
    std::vector<size_t> lengths = json.at("lengths");
    state->position = position_of(card);
    state->loss_scale = card.loss_scale;
    state->saved = false;
    state->layout = json.at("layout").get<std::string>();
    resize(lengths, state->pieces);
  } catch (const nlohmann::json::exception& error) {
    throw DataError("the description of a run's state cannot be understood: {}", error.what());
  }
}

void keep_state(Session& session, const RunPosition& position, KeptState* state) {
  bool keeps = session.communicator.rank() == 0;
  if (keeps) {
    state->position = position;
    const auto& scale = session.learner->loss_scale();
    state->loss_scale = scale ? scale->state() : LossScaleState{.scale = 0};
    state->saved = false;
    state->layout = layout_of(session);
    resize(lengths_of(session), state->pieces);
  }
  size_t next = 0;
  for (const auto& net : session.learner->nets()) {
    const Arenas& arenas = net->arenas();
    WholeState whole = net->whole_state(false);
    std::span<Buffer> slots;
    if (keeps) {
      copy(arenas.parameters.data(), arenas.parameters.bytes(), state->pieces[next]);
      copy(arenas.state.data(), arenas.state.bytes(), state->pieces[next + 1]);
      slots = std::span(state->pieces).subspan(next + 2, whole.slots.size());
      for (size_t i = 0; i < slots.size(); ++i) {
        copy(whole.slots[i].values.data(), whole.slots[i].values.size_bytes(), slots[i]);
      }
      next += 2 + whole.slots.size();
    }
    collect(*net, slots, keeps);
  }
}

Taken take_state(Session& session, const KeptState* state) {
  Communicator& group = session.communicator;
  bool gives = group.rank() == 0;
  std::string wrong = gives ? difference(state->layout, layout_of(session)) : "";
  uint64_t length = wrong.size();
  group.broadcast(&length, sizeof length, 0);
  wrong.resize(length);
  if (length > 0) {
    group.broadcast(wrong.data(), length, 0);
    throw CheckpointError(
        "the state in memory is of another model or optimizer than this run's (model.kind = \"{}\", "
        "optimizer.kind = \"{}\"): {}",
        session.config.model.kind, session.config.optimizer.kind, wrong);
  }
  PositionCard card;
  if (gives) card = card_of(state->position, state->loss_scale);
  group.broadcast(&card, sizeof card, 0);
  int64_t saved = gives && state->saved ? 1 : 0;
  group.broadcast(&saved, sizeof saved, 0);
  size_t next = 0;
  for (const auto& net : session.learner->nets()) {
    Arenas& arenas = net->arenas();
    WholeState whole = net->whole_state(gives);
    if (gives) {
      std::memcpy(arenas.parameters.data(), state->pieces[next].data(), arenas.parameters.bytes());
      if (arenas.state.bytes() != 0) {
        std::memcpy(arenas.state.data(), state->pieces[next + 1].data(), arenas.state.bytes());
      }
      next += 2;
      for (StateSlot& slot : whole.slots) {
        auto values = state->pieces[next++].span<const float>();
        std::copy(values.begin(), values.end(), slot.values.begin());
      }
    }
    spread_net(group, *net, whole);
  }
  session.learner->parameters_changed();
  if (auto& scale = session.learner->loss_scale(); scale && card.loss_scale.scale > 0) {
    scale->set_state(card.loss_scale);
  }
  return {position_of(card), saved != 0};
}

}  // namespace trireme
