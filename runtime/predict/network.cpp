#include "predict/network.h"

#include <utility>

#include "base/error.h"
#include "exec/compile.h"
#include "models/models.h"
#include "train/placement.h"
#include "train/programs.h"
#include "train/trained.h"

namespace trireme {

Network::Network(const Config& config, const SampleShape& sample, const std::filesystem::path& run_directory,
                 Communicator& communicator)
    : config_(config), sample_(sample) {
  Placement placement = place_ranks(communicator);
  backend_ = make_backend(
      config.train, config.train.threads > 0 ? static_cast<int>(config.train.threads) : placement.threads());
  // The layout of parameters is that of training, whatever the batch.
  Graph training = config.model.kind == "gan" ? build_generator_training(config, sample, 1)
                                              : build_model(config, sample, 1, GraphMode::training);
  arenas_ = std::make_unique<Arenas>(compile_training(std::move(training), compile_options(config)).layout);
  load(run_directory, communicator);
}

Network::~Network() = default;

Graph Network::graph(int64_t batch) const {
  return config_.model.kind == "gan" ? build_generator(config_, sample_, batch)
                                     : build_model(config_, sample_, batch, GraphMode::evaluation);
}

void Network::load(const std::filesystem::path& run_directory, Communicator& communicator) {
  if (communicator.rank() == 0) {
    Trained trained =
        open_trained(run_directory, [this](const std::string& message) { warnings_.push_back(message); });
    load_trained(trained, *arenas_);
    run_ = {trained.checkpoint.directory(), trained.step(), trained.has_average()};
  }
  communicator.broadcast(&run_.step, sizeof run_.step, 0);
  communicator.broadcast(arenas_->parameters.data(), arenas_->parameters.bytes(), 0);
  communicator.broadcast(arenas_->state.data(), arenas_->state.bytes(), 0);
  backend_->parameters_changed();
}

Executor& Network::program(int64_t batch) {
  Bound& bound = programs_[batch];
  if (!bound.executor) {
    Program program = compile_evaluation(graph(batch), arenas_->layout, compile_options(config_));
    bound.workspace = Buffer(program.plan.bytes);
    bound.executor = std::make_unique<Executor>(std::move(program), *backend_, *arenas_, bound.workspace);
  }
  return *bound.executor;
}

void read_result(const Executor& executor, int index, std::vector<float>& values) {
  const Graph& graph = executor.program().graph;
  auto place = static_cast<size_t>(index < 0 ? static_cast<int>(graph.results.size()) + index : index);
  ValueId id = graph.results.at(place);
  const TensorType& type = graph.value(id).type;
  auto count = static_cast<size_t>(type.shape.elements());
  values.resize(count);
  const void* from = executor.address(id);
  switch (type.dtype) {
    case DType::float32:
      std::copy_n(static_cast<const float*>(from), count, values.begin());
      break;
    case DType::bfloat16:
      std::copy_n(static_cast<const BFloat16*>(from), count, values.begin());
      break;
    case DType::float16:
      std::copy_n(static_cast<const Float16*>(from), count, values.begin());
      break;
    default:
      throw GraphError("result '{}' is {}, not a floating-point number", graph.value(id).name,
                       name_of(type.dtype));
  }
}

}  // namespace trireme
