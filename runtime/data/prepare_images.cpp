// Folders of images: FOLDER/CLASS/NAME.png. Files are read and scaled by a few threads, a chunk of images at
// a time, in the order of their names.
#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/hash.h"
#include "base/hdf5.h"
#include "data/picture.h"
#include "data/prepare_common.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

struct ImageFile {
  fs::path path;
  int64_t label;
};

struct Listing {
  std::vector<std::string> classes;
  std::vector<ImageFile> files;
  std::vector<std::string> left_out;
};

bool is_image_name(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg";
}

std::vector<fs::path> sorted_entries(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> entries;
  for (const auto& entry : fs::directory_iterator(folder, error)) entries.push_back(entry.path());
  if (error) throw IoError("{}: cannot be listed: {}", folder.string(), error.message());
  std::sort(entries.begin(), entries.end());
  return entries;
}

// Hidden files are nobody's images; others that are not called like one are left out and told.
Listing list_images(const PrepareDatasetConfig& config, const std::vector<std::string>& known_classes) {
  if (!fs::is_directory(config.folder)) {
    throw MissingInputError("{}: {}: no such folder", config.origin, config.folder);
  }
  Listing listing;
  listing.classes = known_classes;
  for (const fs::path& folder : sorted_entries(config.folder)) {
    std::string name = folder.filename();
    if (name.starts_with('.')) continue;
    if (!fs::is_directory(folder)) {
      listing.left_out.push_back(folder.string());
      continue;
    }
    if (known_classes.empty()) listing.classes.push_back(name);
    auto found = std::find(listing.classes.begin(), listing.classes.end(), name);
    if (found == listing.classes.end()) {
      throw DataError("{}: the class \"{}\" is none of those of {}: {}", folder.string(), name, config.like,
                      fmt::join(listing.classes, ", "));
    }
    size_t before = listing.files.size();
    for (const fs::path& file : sorted_entries(folder)) {
      if (file.filename().string().starts_with('.')) continue;
      if (fs::is_regular_file(file) && is_image_name(file)) {
        listing.files.push_back({file, found - listing.classes.begin()});
      } else {
        listing.left_out.push_back(file.string());
      }
    }
    if (listing.files.size() == before) {
      throw DataError("{}: no PNG or JPEG file in this class's folder", folder.string());
    }
  }
  if (listing.files.empty()) {
    throw DataError("{}: no images; it must hold a folder for each class, and those the PNG and JPEG files",
                    config.folder);
  }
  return listing;
}

std::vector<std::string> warnings_of(const Listing& listing) {
  if (listing.left_out.empty()) return {};
  constexpr size_t shown = 3;
  size_t count = listing.left_out.size();
  std::vector<std::string> some(listing.left_out.begin(),
                                listing.left_out.begin() + static_cast<ptrdiff_t>(std::min(shown, count)));
  return {fmt::format("{} file(s) or folder(s) are no PNG or JPEG files and were left out: {}{}", count,
                      fmt::join(some, ", "), count > shown ? ", ..." : "")};
}

// Every image's class, name and content.
std::string sha256_of_images(const Listing& listing) {
  Sha256 hash;
  for (const ImageFile& file : listing.files) {
    std::string line = fmt::format("{} {} {}\n", listing.classes[static_cast<size_t>(file.label)],
                                   file.path.filename().string(), sha256_of_file(file.path));
    hash.update(std::as_bytes(std::span(line.data(), line.size())));
  }
  return hash.hex();
}

// (H, W, C) of all images: what `like` has, what the config says, or what the first image is.
Shape image_shape_of(const PrepareDatasetConfig& config, const Listing& listing, const Shape& like) {
  if (like.rank() == 3) return like;
  Shape shape{config.height, config.width, config.channels};
  if (shape[0] > 0 && shape[2] > 0) return shape;
  Picture first = read_picture(listing.files.front().path);
  if (shape[0] == 0) {
    shape[0] = first.height;
    shape[1] = first.width;
  }
  if (shape[2] == 0) shape[2] = first.channels;
  return shape;
}

void load_image(const PrepareDatasetConfig& config, const ImageFile& file, const Shape& shape, bool may_scale,
                uint8_t* pixels) {
  Picture picture = read_picture(file.path);
  if (!may_scale && (picture.height != shape[0] || picture.width != shape[1])) {
    throw DataError(
        "{}: {} x {} pixels, but the images before have {} x {}; set height and width (in {}) to scale them "
        "all",
        file.path.string(), picture.height, picture.width, shape[0], shape[1], config.origin);
  }
  picture = resized(with_channels(std::move(picture), shape[2]), shape[0], shape[1]);
  std::copy(picture.pixels.begin(), picture.pixels.end(), pixels);
}

// Calls body(i) for i in [0, count) on a few threads. Of the exceptions the one of the smallest i comes out.
template <class Body>
void in_parallel(int64_t count, const Body& body) {
  constexpr int64_t most_threads = 8;
  auto threads = std::min(
      {most_threads, count, static_cast<int64_t>(std::max(1u, std::thread::hardware_concurrency()))});
  std::vector<std::exception_ptr> errors(static_cast<size_t>(count));
  std::atomic<int64_t> next{0};
  std::atomic<bool> failed{false};
  {
    std::vector<std::jthread> pool;
    for (int64_t t = 0; t < threads; ++t) {
      pool.emplace_back([&] {
        // Numbers are taken in order, so what is below a failed one is done or under way.
        for (int64_t i = next++; i < count && !failed; i = next++) {
          try {
            body(i);
          } catch (...) {
            errors[static_cast<size_t>(i)] = std::current_exception();
            failed = true;
          }
        }
      });
    }
  }
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

struct ImageSet {
  std::vector<std::string> classes;
  Shape shape;  // (H, W, C)
  std::vector<ImageFile> files;
};

void write_images(const PrepareDatasetConfig& config, const ImageSet& set, bool may_scale,
                  OutputFile& output) {
  auto count = static_cast<int64_t>(set.files.size());
  int64_t image_bytes = set.shape.elements(), chunk_rows = rows_of_chunk(image_bytes);
  h5::Handle images = h5::create_dataset(
      output.file(), "/images", DType::uint8, Shape{count, set.shape[0], set.shape[1], set.shape[2]},
      {.chunk = Shape{chunk_rows, set.shape[0], set.shape[1], set.shape[2]}, .fletcher32 = true});
  Histogram histogram(set.shape[2]);
  std::vector<uint8_t> pixels(static_cast<size_t>(chunk_rows * image_bytes));
  std::vector<int64_t> labels;
  for (int64_t first = 0; first < count; first += chunk_rows) {
    int64_t rows = std::min(chunk_rows, count - first);
    in_parallel(rows, [&](int64_t i) {
      load_image(config, set.files[static_cast<size_t>(first + i)], set.shape, may_scale,
                 pixels.data() + i * image_bytes);
    });
    histogram.add(std::span(pixels.data(), static_cast<size_t>(rows * image_bytes)));
    h5::write_rows(images, DType::uint8, first, rows, pixels.data());
  }
  for (const ImageFile& file : set.files) labels.push_back(file.label);
  std::vector<double> mean, deviation;
  histogram.statistics(mean, deviation);
  for (double& one : deviation) one = one > 0 ? one : 1.0;  // a channel of one value
  h5::write_attribute(images, "mean", mean);
  h5::write_attribute(images, "std", deviation);
  h5::write_attribute(images, "class_names", set.classes);
  h5::Handle stored =
      h5::create_dataset(output.file(), "/labels", set.classes.size() <= 256 ? DType::uint8 : DType::int64,
                         Shape{count}, {.chunk = Shape{1 << 16}, .fletcher32 = true});
  h5::write_all(stored, DType::int64, labels.data());
}

std::string summary_of(const std::string& path) {
  h5::Handle file = h5::open_file(path);
  h5::Handle images = h5::open_dataset(file, "/images");
  Shape shape = h5::shape_of(images);
  auto classes = static_cast<int64_t>(h5::read_strings_attribute(images, "class_names").size());
  return image_summary(shape[0], Shape{shape[1], shape[2], shape[3]}, classes,
                       h5::read_double_attribute(images, "mean"), h5::read_double_attribute(images, "std"));
}

void write_image_sets(const PrepareDatasetConfig& config, const Listing& listing, const Shape& like,
                      const SourceRecord& record) {
  ImageSet training{listing.classes, image_shape_of(config, listing, like), {}}, validation = training;
  bool split = !config.validation_output.empty();
  for (size_t i = 0; i < listing.files.size(); ++i) {
    bool apart = split && kept_apart(static_cast<int64_t>(i), config.validation_fraction);
    (apart ? validation : training).files.push_back(listing.files[i]);
  }
  if (training.files.empty() || (split && validation.files.empty())) {
    throw DataError("{}: validation_fraction = {} puts {} of {} images apart", config.folder,
                    config.validation_fraction, validation.files.size(), listing.files.size());
  }
  bool may_scale = config.height > 0 || like.rank() == 3;
  OutputFile output(config.output);
  write_images(config, training, may_scale, output);
  if (split) {
    OutputFile other(config.validation_output);
    write_images(config, validation, may_scale, other);
    other.commit(record);
  }
  output.commit(record);
}

}  // namespace

std::vector<PreparedFile> prepare_images(const PrepareDatasetConfig& config, bool force) {
  SourceRecord record{.format = "trireme images", .settings = {}, .sources = {}, .sha256 = {}};
  record.settings = fmt::format("height={} width={} channels={} like={} validation_fraction={}",
                                config.height, config.width, config.channels, !config.like.empty(),
                                config.validation_output.empty() ? 0.0 : config.validation_fraction);
  std::vector<std::string> known_classes;
  Shape like;
  if (!config.like.empty()) {
    if (config.height > 0 || config.channels > 0) {
      throw ConfigError("{}: height, width and channels are those of {} (like); remove them", config.origin,
                        config.like);
    }
    record.add_file(config.like, config.origin);
    h5::Handle file = h5::open_file(config.like);
    h5::Handle images = h5::open_dataset(file, "/images");
    Shape shape = h5::shape_of(images);
    if (shape.rank() != 4) throw DataError("{}: /images is not (N, H, W, C)", config.like);
    like = Shape{shape[1], shape[2], shape[3]};
    if (like[2] != 1 && like[2] != 3) throw DataError("{}: images of {} channels", config.like, like[2]);
    known_classes = h5::read_strings_attribute(images, "class_names");
  }
  Listing listing = list_images(config, known_classes);
  record.sources.push_back(fs::path(config.folder).lexically_normal().filename());
  record.sha256.push_back(sha256_of_images(listing));
  std::vector<std::string> outputs = outputs_of(config);
  bool up_to_date = !force && record.holds_for(outputs);
  if (!up_to_date) write_image_sets(config, listing, like, record);
  std::vector<PreparedFile> files;
  for (const std::string& path : outputs) files.push_back({path, up_to_date, summary_of(path), {}});
  files.front().warnings = warnings_of(listing);
  return files;
}

}  // namespace trireme
