#include "config/keys.h"

namespace trireme {
namespace {

constexpr double largest_count = 1 << 24;  // far above any sensible width, far below an overflow

KeyTable run_table(RunConfig& c) {
  return {"run",
          "what the run is called",
          {
              {"name",
               &c.name,
               {.doc = "Name of the run and of its directory, runs/<name>, unless --run-dir says otherwise. "
                       "Letters, digits, '.', '_' and '-'."}},
              {"seed",
               &c.seed,
               {.doc = "Seed of every random draw: initial weights, order of samples, augmentation, dropout. "
                       "The same "
                       "config, seed and number of ranks give the same parameters, bit for bit.",
                .at_least = 0}},
          }};
}

KeyTable data_table(DataConfig& c) {
  return {
      "data",
      "what is learned from",
      {
          {"train",
           &c.train,
           {.doc = "HDF5 file of training samples, as trireme-prepare writes it; training needs it. A "
                   "relative path is relative "
                   "to the "
                   "current directory."}},
          {"validation",
           &c.validation,
           {.doc = "HDF5 file of samples on which accuracy is measured; empty for no validation."}},
          {"batch",
           &c.batch,
           {.doc = "Samples of one step, over all ranks together. Each rank takes its share, so that a run "
                   "may change its "
                   "number of ranks and go on.",
            .at_least = 1,
            .at_most = largest_count}},
          {"validation_batch",
           &c.validation_batch,
           {.doc = "Samples that one rank validates at a time. Changes speed and memory, never the result.",
            .at_least = 1,
            .at_most = largest_count}},
          {"shuffle",
           &c.shuffle,
           {.doc = "Draw a new order of the training samples for each epoch; false keeps the file's order."}},
          {"cache_bytes",
           &c.cache_bytes,
           {.doc = "Bytes of samples that each rank keeps in memory of each data file: those used last. A "
                   "file that fits is "
                   "read from disk once; 0 keeps next to nothing.",
            .at_least = 0}},
          {"loader_threads",
           &c.loader_threads,
           {.doc = "Threads on each rank that read and transform batches while the last one computes.",
            .at_least = 1,
            .at_most = 256}},
          {"prefetch_batches",
           &c.prefetch_batches,
           {.doc = "Batches that may wait, ready, on each rank: the bound on the loader's memory.",
            .at_least = 1,
            .at_most = 1024}},
      }};
}

KeyTable transform_table(TransformConfig& c) {
  return {"data.transform",
          "what is done to each sample; random changes are for training samples only",
          {
              {"normalize",
               &c.normalize,
               {.doc = "Subtract the mean and divide by the standard deviation that are stored in the "
                       "training file; "
                       "false only scales bytes to 0..1."}},
              {"random_crop_padding",
               &c.random_crop_padding,
               {.doc = "Shift each image by up to this many pixels in both directions: pad with zeros on "
                       "every side, then "
                       "cut the old size at random. 0 for none.",
                .at_least = 0,
                .at_most = 1024}},
              {"horizontal_flip",
               &c.horizontal_flip,
               {.doc = "Mirror each image left to right with probability 1/2."}},
          }};
}

KeyTable model_table(ModelConfig& c) {
  return {
      "model",
      "the network; its input's shape and number of classes come from the data",
      {
          {"kind",
           &c.kind,
           {.doc = "mlp: linear layers. lenet: the classic, two 5x5 convolutions with pooling and three "
                   "linear layers. "
                   "cnn: for each entry of channels a 3x3 convolution, batch normalisation, ReLU and 2x2 max "
                   "pooling, "
                   "then the classifier. layers: what the [[model.layer]] tables say.",
            .choices = {"mlp", "lenet", "cnn", "layers"}}},
          {"hidden",
           &c.hidden,
           {.doc = "Units of each hidden layer; [] makes it a linear classifier.",
            .kinds = {"mlp"},
            .at_least = 1,
            .at_most = largest_count}},
          {"channels",
           &c.channels,
           {.doc = "Output channels of each block; every block halves height and width.",
            .kinds = {"cnn"},
            .at_least = 1,
            .at_most = largest_count,
            .items_at_least = 1}},
          {"kernel",
           &c.kernel,
           {.doc =
                "Side of the convolutions' square windows, padded by half of it: an odd one keeps the size.",
            .kinds = {"cnn"},
            .at_least = 1,
            .at_most = 31}},
          {"dense",
           &c.dense,
           {.doc = "Units of the hidden linear layer before the classifier; 0 for none.",
            .kinds = {"cnn"},
            .at_least = 0,
            .at_most = largest_count}},
          {"dropout",
           &c.dropout,
           {.doc = "Probability with which a unit before a linear layer is dropped in training.",
            .kinds = {"mlp", "lenet", "cnn"},
            .at_least = 0,
            .below = 1}},
          {"activation",
           &c.activation,
           {.doc = "The non-linearity.", .choices = {"relu", "tanh", "sigmoid"}, .kinds = {"mlp", "lenet"}}},
      }};
}

KeyTable train_table(TrainConfig& c) {
  return {
      "train",
      "how long, on what, and how often something is told",
      {
          {"epochs", &c.epochs, {.doc = "Passes over the training samples.", .at_least = 1, .at_most = 1e9}},
          {"steps",
           &c.steps,
           {.doc =
                "Stop after this many steps, even within an epoch; 0 for no limit. Schedules end there too.",
            .at_least = 0}},
          {"precision", &c.precision, {.doc = "Type of parameters and computation.", .choices = {"float32"}}},
          {"device",
           &c.device,
           {.doc = "Where to compute; auto takes the best that is there (so far that is the CPU).",
            .choices = {"auto", "cpu"}}},
          {"backend",
           &c.backend,
           {.doc = "cpu: oneDNN. reference: plain loops, slow, for checking results.",
            .choices = {"cpu", "reference"}}},
          {"threads",
           &c.threads,
           {.doc =
                "Compute threads of each rank; 0 divides the cores this job may use among the node's ranks.",
            .at_least = 0,
            .at_most = 4096}},
          {"gradient_clip_norm",
           &c.gradient_clip_norm,
           {.doc = "Scale the gradient down to this norm (over all parameters) where it is longer; 0 for no "
                   "clipping.",
            .at_least = 0}},
          {"validate_every_epochs",
           &c.validate_every_epochs,
           {.doc = "Validate after every so many epochs and at the end; 0 for the end only.", .at_least = 0}},
          {"log_every_steps",
           &c.log_every_steps,
           {.doc = "Steps between two \"train\" lines in metrics.jsonl and in a batch job's log.",
            .at_least = 1}},
          {"label_smoothing",
           &c.label_smoothing,
           {.doc = "Part of the target's probability that is spread evenly over all classes.",
            .at_least = 0,
            .below = 1}},
      }};
}

KeyTable optimizer_table(OptimizerConfig& c) {
  return {
      "optimizer",
      "how parameters follow their gradients",
      {
          {"kind",
           &c.kind,
           {.doc = "sgd: gradient descent with momentum. adamw: Adam with decoupled weight decay (Loshchilov "
                   "& Hutter).",
            .choices = {"sgd", "adamw"}}},
          {"learning_rate",
           &c.learning_rate,
           {.doc = "The rate that [schedule] starts from or, for one_cycle, rises to. It is for the global "
                   "batch: not scaled "
                   "by the number of ranks.",
            .above = 0}},
          {"momentum",
           &c.momentum,
           {.doc = "Part of the last update that is kept.", .kinds = {"sgd"}, .at_least = 0, .below = 1}},
          {"nesterov",
           &c.nesterov,
           {.doc = "Nesterov's look-ahead form; needs momentum above 0.", .kinds = {"sgd"}}},
          {"weight_decay",
           &c.weight_decay,
           {.doc = "Pull of the weights towards zero: added to the gradient (sgd) or applied beside it "
                   "(adamw). Biases and "
                   "normalisation's parameters are left alone.",
            .at_least = 0}},
          {"beta1",
           &c.beta1,
           {.doc = "Decay of the gradient's running mean.", .kinds = {"adamw"}, .at_least = 0, .below = 1}},
          {"beta2",
           &c.beta2,
           {.doc = "Decay of the squared gradient's running mean.",
            .kinds = {"adamw"},
            .at_least = 0,
            .below = 1}},
          {"epsilon", &c.epsilon, {.doc = "Added to the denominator.", .kinds = {"adamw"}, .above = 0}},
      }};
}

KeyTable schedule_table(ScheduleConfig& c) {
  return {
      "schedule",
      "how the learning rate changes from step to step",
      {
          {"kind",
           &c.kind,
           {.doc = "constant. step: multiplied by gamma now and then. cosine: along half a cosine down to "
                   "final_fraction (Loshchilov & Hutter). one_cycle: up and down again (Smith & Topin), with "
                   "cosine sides.",
            .choices = {"constant", "step", "cosine", "one_cycle"}}},
          {"warmup_steps",
           &c.warmup_steps,
           {.doc = "Steps at the start over which the rate is ramped up linearly. one_cycle has a rise of "
                   "its own; a warm-up multiplies it.",
            .at_least = 0}},
          {"step_epochs",
           &c.step_epochs,
           {.doc = "Finished epochs after which the rate is multiplied by gamma, rising, e.g. [30, 60, 80].",
            .kinds = {"step"},
            .at_least = 1}},
          {"step_every_epochs",
           &c.step_every_epochs,
           {.doc =
                "Instead of step_epochs: multiply after every so many epochs; 0 where step_epochs is given.",
            .kinds = {"step"},
            .at_least = 0}},
          {"gamma",
           &c.gamma,
           {.doc = "The factor of each step.", .kinds = {"step"}, .above = 0, .at_most = 1}},
          {"final_fraction",
           &c.final_fraction,
           {.doc = "The last rate as a part of learning_rate.",
            .kinds = {"cosine"},
            .at_least = 0,
            .at_most = 1}},
          {"peak_fraction",
           &c.peak_fraction,
           {.doc = "Part of all steps after which learning_rate is reached.",
            .kinds = {"one_cycle"},
            .above = 0,
            .below = 1}},
          {"initial_divisor",
           &c.initial_divisor,
           {.doc = "The first rate is learning_rate / initial_divisor.",
            .kinds = {"one_cycle"},
            .at_least = 1}},
          {"final_divisor",
           &c.final_divisor,
           {.doc = "The last rate is the first rate / final_divisor.",
            .kinds = {"one_cycle"},
            .at_least = 1}},
      }};
}

KeyTable parallel_table(ParallelConfig& c) {
  return {"parallel",
          "how ranks share what they learn",
          {
              {"mode",
               &c.mode,
               {.doc = "allreduce: every rank holds the whole model, and gradients are averaged over the "
                       "global batch in "
                       "each step.",
                .choices = {"allreduce"}}},
              {"virtual_ranks",
               &c.virtual_ranks,
               {.doc = "Train as this many ranks would, whatever their number; 0 for as many as there are.",
                .at_least = 0,
                .at_most = 0,
                .remark = "virtual ranks are not built yet"}},
          }};
}

KeyTable checkpoint_table(CheckpointConfig& c) {
  return {
      "checkpoint",
      "when the state is saved, in <run directory>/checkpoints",
      {
          {"every_steps",
           &c.every_steps,
           {.doc =
                "Save after every so many steps too; 0 for the ends of epochs and the end of the run only.",
            .at_least = 0}},
          {"keep",
           &c.keep,
           {.doc = "How many of the newest checkpoints are kept.", .at_least = 1, .at_most = 1e6}},
      }};
}

KeyTable comm_table(CommConfig& c) {
  return {"comm",
          "how ranks talk to each other",
          {
              {"transport", &c.transport, {.doc = "auto leaves the choice to MPI.", .choices = {"auto"}}},
              {"bucket_bytes",
               &c.bucket_bytes,
               {.doc = "Gradients travel in pieces of about this size, each as soon as it is ready, while "
                       "the rest is "
                       "still being computed.",
                .at_least = 1024}},
          }};
}

}  // namespace

std::vector<KeyTable> tables_of(Config& c) {
  return {run_table(c.run),           data_table(c.data),         transform_table(c.data.transform),
          model_table(c.model),       train_table(c.train),       optimizer_table(c.optimizer),
          schedule_table(c.schedule), parallel_table(c.parallel), checkpoint_table(c.checkpoint),
          comm_table(c.comm)};
}

KeyTable table_of(LayerConfig& c) {
  const std::vector<std::string_view> windows{"convolution", "max_pool", "average_pool"};
  return {
      "model.layer",
      "one layer of a model of kind \"layers\", in order from input to output; the last one is a linear "
      "layer with as "
      "many units as there are classes",
      {
          {"kind",
           &c.kind,
           {.doc = "What the layer does.",
            .choices = {"linear", "convolution", "batch_norm", "relu", "tanh", "sigmoid", "max_pool",
                        "average_pool", "global_average_pool", "flatten", "dropout"},
            .required = true}},
          {"units",
           &c.units,
           {.doc = "Number of outputs.",
            .kinds = {"linear"},
            .required = true,
            .at_least = 1,
            .at_most = largest_count}},
          {"channels",
           &c.channels,
           {.doc = "Number of output channels.",
            .kinds = {"convolution"},
            .required = true,
            .at_least = 1,
            .at_most = largest_count}},
          {"kernel",
           &c.kernel,
           {.doc = "Side of the square window, in pixels.",
            .kinds = windows,
            .required = true,
            .at_least = 1,
            .at_most = 1024}},
          {"stride",
           &c.stride,
           {.doc = "Pixels from one window to the next; 0 stands for 1 in a convolution, for kernel in a "
                   "pooling.",
            .kinds = windows,
            .at_least = 0,
            .at_most = 1024}},
          {"padding",
           &c.padding,
           {.doc =
                "Pixels added on every side: zeros to a convolution; a pooling leaves them out of account.",
            .kinds = windows,
            .at_least = 0,
            .at_most = 1023}},
          {"bias", &c.bias, {.doc = "Whether a bias is added.", .kinds = {"linear", "convolution"}}},
          {"rate",
           &c.rate,
           {.doc = "Probability with which a unit is dropped in training.",
            .kinds = {"dropout"},
            .at_least = 0,
            .below = 1}},
          {"epsilon", &c.epsilon, {.doc = "Added to the variance.", .kinds = {"batch_norm"}, .above = 0}},
          {"momentum",
           &c.momentum,
           {.doc = "Weight of the newest batch in the running statistics that validation uses.",
            .kinds = {"batch_norm"},
            .above = 0,
            .at_most = 1}},
      }};
}

}  // namespace trireme
