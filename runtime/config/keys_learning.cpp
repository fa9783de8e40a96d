// Keys of [train], [optimizer] and [schedule].
#include "config/key_tables.h"

namespace trireme {

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
          {"precision",
           &c.precision,
           {.doc = "Type of the computation. Parameters, their updates and sums stay float32; float16 scales "
                   "the loss "
                   "so that small gradients do not vanish, and skips steps that overflow.",
            .choices = {"float32", "bfloat16", "float16"}}},
          {"loss_scale",
           &c.loss_scale,
           {.doc = "float16: the loss's factor at the start.", .at_least = 1, .at_most = 16777216}},
          {"loss_scale_steps",
           &c.loss_scale_steps,
           {.doc = "float16: steps without an overflow after which the factor doubles; it halves at each "
                   "overflow.",
            .at_least = 1}},
          {"recompute",
           &c.recompute,
           {.doc =
                "What the backward pass computes again instead of keeping it. none: nothing. layer: all "
                "inside "
                "of each layer or block. sqrt: all inside of runs of layers, cut so that the peak is least: "
                "it "
                "grows with the square root of the depth (Chen et al., 2016). The results are the same bits.",
            .choices = {"none", "layer", "sqrt"}}},
          {"micro_batches",
           &c.micro_batches,
           {.doc = "Pieces in which each rank computes its share of a batch, summing gradients: less memory, "
                   "the "
                   "same step.",
            .at_least = 1,
            .at_most = largest_count}},
          {"on_nan",
           &c.on_nan,
           {.doc = "When the loss is no longer a number. stop: end with exit code 70, checkpoints kept. "
                   "rollback: go "
                   "back to the newest checkpoint and on at half the learning rate, up to 3 times in a row.",
            .choices = {"stop", "rollback"}}},
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
           {.doc = "Compute threads of each rank; 0 divides the cores this job may use among the node's "
                   "ranks (with parallel.virtual_ranks: 1, since the last bits of "
                   "the library's convolutions depend on it).",
            .at_least = 0,
            .at_most = 4096}},
          {"matrix_units",
           &c.matrix_units,
           {.doc = "Make large float32 products on the processor's bfloat16 matrix units (AMX), where it has "
                   "them: each number split into three, as exact as float32 arithmetic and faster, in other "
                   "last bits. false: by float32 arithmetic everywhere."}},
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
           {.doc =
                "Part of the target's probability that is spread evenly over all classes; in a gan, what the "
                "discriminator's target for real images lacks to 1.",
            .at_least = 0,
            .below = 1}},
      }};
}

KeyTable optimizer_table(OptimizerConfig& c, std::string_view name, std::string_view doc) {
  return {
      name,
      doc,
      {
          {"kind",
           &c.kind,
           {.doc =
                "sgd: gradient descent with momentum. adam (Kingma & Ba). adamw: Adam with decoupled weight "
                "decay "
                "(Loshchilov & Hutter). rmsprop (Hinton). adagrad (Duchi et al.). lamb, lars (You et al.): "
                "for large batches, a step as long as the tensor that it moves.",
            .choices = {"sgd", "adam", "adamw", "rmsprop", "adagrad", "lamb", "lars"}}},
          {"learning_rate",
           &c.learning_rate,
           {.doc = "The rate that [schedule] starts from or, for one_cycle, rises to. It is for the global "
                   "batch: not scaled "
                   "by the number of ranks.",
            .above = 0}},
          {"momentum",
           &c.momentum,
           {.doc = "Part of the last update that is kept.",
            .kinds = {"sgd", "lars"},
            .at_least = 0,
            .below = 1}},
          {"nesterov",
           &c.nesterov,
           {.doc = "Nesterov's look-ahead form; needs momentum above 0.", .kinds = {"sgd"}}},
          {"weight_decay",
           &c.weight_decay,
           {.doc =
                "Pull of the weights towards zero: added to the gradient (sgd, adam, rmsprop, adagrad, lars) "
                "or applied beside it (adamw, lamb). Biases and normalisation's parameters are left alone.",
            .at_least = 0}},
          {"beta1",
           &c.beta1,
           {.doc = "Decay of the gradient's running mean.",
            .kinds = {"adam", "adamw", "lamb"},
            .at_least = 0,
            .below = 1}},
          {"beta2",
           &c.beta2,
           {.doc = "Decay of the squared gradient's running mean.",
            .kinds = {"adam", "adamw", "lamb"},
            .at_least = 0,
            .below = 1}},
          {"smoothing",
           &c.smoothing,
           {.doc = "Decay of the squared gradient's running mean.",
            .kinds = {"rmsprop"},
            .at_least = 0,
            .below = 1}},
          {"epsilon",
           &c.epsilon,
           {.doc = "Added to the denominator.",
            .kinds = {"adam", "adamw", "rmsprop", "adagrad", "lamb"},
            .above = 0}},
          {"trust_coefficient",
           &c.trust_coefficient,
           {.doc = "Length of a step as a part of the tensor's.", .kinds = {"lars"}, .above = 0}},
          {"ema_decay",
           &c.ema_decay,
           {.doc = "Keep an exponential moving average of the parameters with this decay, and validate and "
                   "predict "
                   "with it; 0 for none.",
            .at_least = 0,
            .below = 1}},
      }};
}

KeyTable table_of(OptimizerGroupConfig& c) {
  return {
      "optimizer.group",
      "parameters that move otherwise than the rest; of several groups that name a parameter the first "
      "counts (a gan's discriminator has [[optimizer.discriminator.group]])",
      {
          {"parameters",
           &c.parameters,
           {.doc = "Patterns over parameters' names, as --plan prints them: * stands for anything, ? for one "
                   "letter, e.g. [\"*.bias\", \"block3.*\"]. One that names nothing is an error.",
            .required = true,
            .items_at_least = 1}},
          {"learning_rate_factor",
           &c.learning_rate_factor,
           {.doc = "Multiplies the learning rate; 0 keeps the parameters as they are.", .at_least = 0}},
          {"weight_decay",
           &c.weight_decay,
           {.doc = "In place of the optimizer's, for all of the group, biases and normalisation too; -1 "
                   "leaves it "
                   "as it is without the group.",
            .at_least = -1}},
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

}  // namespace trireme
