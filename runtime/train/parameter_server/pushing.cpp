#include "train/parameter_server/pushing.h"

#include <algorithm>

#include "base/half.h"

namespace trireme {

PayloadFormat payload_format(const ParameterServerConfig& mode) {
  if (mode.mode == "dcasgd") return PayloadFormat::float32_with_parameters;
  if (mode.encoding == "bfloat16") return PayloadFormat::bfloat16;
  if (mode.encoding == "top_k") return PayloadFormat::top_k;
  return PayloadFormat::float32;
}

GradientPushes::GradientPushes(const Config& config, Session& session, std::span<const FlatShard> shards)
    : config_(config), learner_(*session.learner), shards_(shards) {
  for (const FlatShard& shard : shards) {
    size_t bytes = shard.layout.elements() * sizeof(float);
    gradients_.push_back(std::make_unique<ShardGradient>(shard, learner_));
    bool leaves_out = config.parameter_server.encoding != "float32";
    residuals_.emplace_back(leaves_out ? bytes : 0);
    bool copies = config.parameter_server.mode == "dcasgd" && shard.parameters.size() > 1;
    pulled_.emplace_back(copies ? shard.layout.size() * sizeof(float) : 0);
  }
}

std::vector<ClientShard> GradientPushes::client_shards() {
  std::vector<ClientShard> all;
  for (const FlatShard& shard : shards_) {
    ClientShard one;
    one.layout = shard.layout;
    for (const FlatSpan& span : shard.parameters) {
      Buffer& arena = learner_.nets()[span.net]->arenas().parameters;
      one.values.push_back(arena.span<float>().subspan(span.range.begin, span.range.size()));
    }
    for (const FlatSpan& span : shard.states) {
      Buffer& arena = learner_.nets()[span.net]->arenas().state;
      one.values.push_back(arena.span<float>().subspan(span.range.begin, span.range.size()));
    }
    all.push_back(std::move(one));
  }
  return all;
}

std::span<const PushSource> GradientPushes::collect() {
  sources_.clear();
  for (size_t k = 0; k < shards_.size(); ++k) {
    const FlatShard& shard = shards_[k];
    gradients_[k]->collect();
    PushSource source;
    source.gradient.values = gradients_[k]->values();
    source.gradient.tail = gradients_[k]->statistics();
    source.residual = residuals_[k].span<float>();
    if (config_.parameter_server.encoding == "top_k")
      source.top_k = top_k_count(shard.layout.elements(), config_.parameter_server.top_k_fraction);
    if (config_.parameter_server.mode == "dcasgd") {
      if (pulled_[k].bytes() > 0) {
        take_values(shard, learner_, pulled_[k].span<float>());
        source.gradient.parameters = pulled_[k].span<const float>().first(shard.layout.elements());
      } else {
        const FlatSpan& span = shard.parameters.front();
        source.gradient.parameters =
            learner_.nets()[span.net]->arenas().parameters.span<const float>().subspan(span.range.begin,
                                                                                       span.range.size());
      }
    }
    sources_.push_back(source);
  }
  return sources_;
}

ElasticPushes::ElasticPushes(const Config& config, Session& session, std::span<const FlatShard> shards,
                             double moving_rate)
    : config_(config), learner_(*session.learner), shards_(shards), moving_rate_(moving_rate) {
  for (const FlatShard& shard : shards) {
    size_t bytes = shard.layout.size() * sizeof(float);
    for (std::vector<Buffer>* memory : {&centres_, &own_, &differences_}) memory->emplace_back(bytes);
  }
}

std::vector<ClientShard> ElasticPushes::client_shards() {
  std::vector<ClientShard> all;
  for (size_t k = 0; k < shards_.size(); ++k) all.push_back({shards_[k].layout, {centres_[k].span<float>()}});
  return all;
}

void ElasticPushes::begin_at_centre() {
  for (size_t k = 0; k < shards_.size(); ++k)
    put_values(shards_[k], centres_[k].span<const float>(), learner_);
  learner_.parameters_changed();
}

std::span<const PushSource> ElasticPushes::exchange() {
  sources_.clear();
  auto alpha = static_cast<float>(moving_rate_);
  for (size_t k = 0; k < shards_.size(); ++k) {
    const ShardLayout& layout = shards_[k].layout;
    std::span<float> own = own_[k].span<float>(), difference = differences_[k].span<float>();
    std::span<const float> centre = centres_[k].span<const float>();
    take_values(shards_[k], learner_, own);
    for (size_t i = 0; i < own.size(); ++i) difference[i] = alpha * (own[i] - centre[i]);
    if (config_.parameter_server.encoding == "bfloat16") {  // the tail travels as it is
      for (float& value : difference.first(layout.elements())) value = BFloat16(value);
    }
    for (size_t i = 0; i < own.size(); ++i) own[i] -= difference[i];
    put_values(shards_[k], own, learner_);
    PushSource source;
    source.gradient.values = difference.first(layout.elements());
    source.gradient.tail = difference.subspan(layout.elements());
    sources_.push_back(source);
  }
  learner_.parameters_changed();
  return sources_;
}

}  // namespace trireme
