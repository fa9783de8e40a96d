// Keys of [data] and [data.transform].
#include "config/key_tables.h"

namespace trireme {

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
          {"validation_fraction",
           &c.validation_fraction,
           {.doc =
                "Part of train's samples that is kept apart for validation, the same samples whatever the "
                "seed; only where validation is empty. Of text it is the end, of anything else samples drawn "
                "once and for all.",
            .at_least = 0,
            .below = 1}},
          {"sequence_length",
           &c.sequence_length,
           {.doc = "Text: tokens of one sample. The model sees no further back.",
            .models = {"rnn", "lstm", "gpt", "layers"},
            .at_least = 1,
            .at_most = 1 << 20}},
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
  return {
      "data.transform",
      "what is done to each sample; random changes are for training samples only",
      {
          {"normalize",
           &c.normalize,
           {.doc = "Subtract the mean and divide by the standard deviation that are stored in the "
                   "training file; "
                   "false only scales bytes to 0..1."}},
          {"resize",
           &c.resize,
           {.doc = "Scale images to this side, in pixels, before anything else; 0 leaves the size as stored.",
            .at_least = 0,
            .at_most = 16384}},
          {"crop",
           &c.crop,
           {.doc =
                "Cut a square of this side: anywhere in training, from the middle in validation; 0 for none.",
            .at_least = 0,
            .at_most = 16384}},
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
          {"vertical_flip", &c.vertical_flip, {.doc = "The same, top to bottom."}},
          {"random_resized_crop",
           &c.random_resized_crop,
           {.doc = "Cut 8 to 100 % of the area at an aspect of 3/4 to 4/3 and scale it to the full size "
                   "(Szegedy et al.)."}},
          {"rotation_degrees",
           &c.rotation_degrees,
           {.doc = "Turn each image by up to this angle either way; corners are filled with zeros.",
            .at_least = 0,
            .at_most = 180}},
          {"grayscale_probability",
           &c.grayscale_probability,
           {.doc = "Probability with which an image of three channels loses its colour.",
            .at_least = 0,
            .at_most = 1}},
          {"erase_probability",
           &c.erase_probability,
           {.doc = "Probability with which a rectangle of 2 to 33 % of the area is blanked (Zhong et al., "
                   "random erasing).",
            .at_least = 0,
            .at_most = 1}},
      }};
}

}  // namespace trireme
