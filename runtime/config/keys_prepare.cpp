// Keys of trireme-prepare's [prepare] and [[prepare.dataset]].
#include "config/key_tables.h"
#include "config/prepare_config.h"

namespace trireme {

KeyTable prepare_table(PrepareConfig& c) {
  return {"prepare",
          "raw files to HDF5 data sets; what stands here goes for all [[prepare.dataset]] tables",
          {
              {"kind",
               &c.kind,
               {.doc = "Format of the raw files, for those tables that name none.",
                .choices = {"idx", "text", "csv", "images"}}},
              {"class_names",
               &c.class_names,
               {.doc = "A name for each class, in the order of the labels; [] names them 0, 1, ... up to the "
                       "largest label.",
                .kinds = {"idx"}}},
          }};
}

namespace {

std::vector<Key> source_keys(PrepareDatasetConfig& c) {
  return {
      {"images",
       &c.images,
       {.doc = "File of the images: N x H x W, or N x H x W x C.", .kinds = {"idx"}, .required = true}},
      {"labels", &c.labels, {.doc = "File of the N labels.", .kinds = {"idx"}, .required = true}},
      {"files",
       &c.files,
       {.doc = "Text: UTF-8 files (any files for encoding = \"bytes\"), joined as they are. csv: files of "
               "the same "
               "columns, one after another.",
        .kinds = {"text", "csv"},
        .required = true,
        .items_at_least = 1}},
      {"folder",
       &c.folder,
       {.doc =
            "Folder with a folder for each class, which is called like it and holds its PNG and JPEG files.",
        .kinds = {"images"},
        .required = true}},
  };
}

std::vector<Key> text_keys(PrepareDatasetConfig& c) {
  return {
      {"encoding",
       &c.encoding,
       {.doc = "What a token is. bytes: each byte. characters: each Unicode character that occurs. subword: "
               "pieces of "
               "words that SentencePiece finds in the text (byte pair encoding).",
        .choices = {"bytes", "characters", "subword"},
        .kinds = {"text"}}},
      {"vocabulary_size",
       &c.vocabulary_size,
       {.doc = "Tokens of a subword vocabulary, the 256 bytes for what is rare among them.",
        .kinds = {"text"},
        .at_least = 300,
        .at_most = 1e6}},
      {"unknown",
       &c.unknown,
       {.doc =
            "The character that others become that are not in the vocabulary (of `like`); empty: they are an "
            "error.",
        .kinds = {"text"}}},
  };
}

std::vector<Key> csv_keys(PrepareDatasetConfig& c) {
  return {
      {"header",
       &c.header,
       {.doc = "Whether the first line names the columns; without one they are called column1, column2, ...",
        .kinds = {"csv"}}},
      {"delimiter",
       &c.delimiter,
       {.doc = "The character between cells, e.g. \";\" or \"\\t\".", .kinds = {"csv"}}},
      {"target",
       &c.target,
       {.doc = "Columns to predict: one of classes, or one or more of numbers.",
        .kinds = {"csv"},
        .required = true,
        .items_at_least = 1}},
      {"task",
       &c.task,
       {.doc = "What the target is. classes: each distinct value is one. numbers: regression. auto: numbers "
               "where all "
               "values are numbers, else classes.",
        .choices = {"auto", "classes", "numbers"},
        .kinds = {"csv"}}},
      {"categories",
       &c.categories,
       {.doc = "Columns that hold categories though they look like numbers. A column of texts is one in any "
               "case; "
               "each of its values becomes a feature that is 0 or 1.",
        .kinds = {"csv"}}},
      {"ignore", &c.ignore, {.doc = "Columns to leave out.", .kinds = {"csv"}}},
      {"missing",
       &c.missing,
       {.doc = "What an empty cell (or NA, N/A, NaN, null, ?) of a feature becomes: an error, the column's "
               "mean, or "
               "zero. A missing category is all zeros then. A missing target is an error always.",
        .choices = {"error", "mean", "zero"},
        .kinds = {"csv"}}},
  };
}

std::vector<Key> image_keys(PrepareDatasetConfig& c) {
  return {
      {"height",
       &c.height,
       {.doc =
            "Pixels that images are scaled to, whatever their aspect; 0 (both) where they are all the same.",
        .kinds = {"images"},
        .at_least = 0,
        .at_most = 16384}},
      {"width", &c.width, {.doc = "See height.", .kinds = {"images"}, .at_least = 0, .at_most = 16384}},
      {"channels",
       &c.channels,
       {.doc = "1 (grey), 3 (red, green, blue), or 0 for those of the first image. Transparency is laid on "
               "black.",
        .kinds = {"images"},
        .at_least = 0,
        .at_most = 3}},
  };
}

std::vector<Key> output_keys(PrepareDatasetConfig& c) {
  return {
      {"output",
       &c.output,
       {.doc = "HDF5 file to write; its folder is made. One that was made from the same files is left alone.",
        .required = true}},
      {"like",
       &c.like,
       {.doc = "Another data set, the training data for instance, whose vocabulary, columns, categories, "
               "classes and "
               "image size hold here too; it may be the output of a table above.",
        .kinds = {"text", "csv", "images"}}},
      {"validation_output",
       &c.validation_output,
       {.doc = "HDF5 file for the part that is kept apart for validation; empty for none.",
        .kinds = {"text", "csv", "images"}}},
      {"validation_fraction",
       &c.validation_fraction,
       {.doc = "How large that part is. Of text it is the end, from the beginning of a line on; of tables "
               "and images "
               "each sample is drawn, the same ones every time.",
        .kinds = {"text", "csv", "images"},
        .above = 0,
        .below = 1}},
  };
}

}  // namespace

KeyTable prepare_dataset_table(PrepareDatasetConfig& c) {
  KeyTable table{"prepare.dataset", "one data set to write", {}};
  table.keys.push_back(
      {"kind",
       &c.kind,
       {.doc = "Format of the raw files. idx: the MNIST family's, unsigned bytes, plain or gzipped. "
               "text: language models. csv: tables (RFC 4180). images: PNG and JPEG files in folders.",
        .choices = {"idx", "text", "csv", "images"}}});
  for (auto* keys : {source_keys, text_keys, csv_keys, image_keys, output_keys}) {
    for (Key& key : keys(c)) table.keys.push_back(std::move(key));
  }
  return table;
}

}  // namespace trireme
