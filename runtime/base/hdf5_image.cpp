// Files in memory.
#include <fmt/format.h>

#include <atomic>
#include <bit>
#include <cstdint>
#include <cstring>

#include "base/hdf5.h"
#include "base/hdf5_internal.h"

namespace trireme::h5 {

using namespace internal;

namespace {

// Files in memory share HDF5's table of open files with those on disk; equal names would be the same file.
std::string unique_name(const std::string& name) {
  static std::atomic<uint64_t> count{0};
  return fmt::format("{} (in memory #{})", name, ++count);
}

Handle memory_access() {
  Handle access = file_access();
  constexpr size_t growth_bytes = size_t{4} << 20;
  check(H5Pset_fapl_core(access, growth_bytes, /*backing_store=*/false), "H5Pset_fapl_core");
  return access;
}

// Instead of memory of its own the library gets the caller's, whenever it asks for some to copy the image to
// (HDF5 File Image Operations, 2.1.2); `image` itself is what the callbacks carry with them.
H5FD_file_image_callbacks_t lend_image(void* image) {
  H5FD_file_image_callbacks_t lend{};
  lend.image_malloc = [](size_t, H5FD_file_image_op_t, void* data) { return data; };
  lend.image_memcpy = [](void* target, const void*, size_t, H5FD_file_image_op_t, void*) { return target; };
  lend.image_free = [](void*, H5FD_file_image_op_t, void*) -> herr_t { return 0; };
  lend.udata_copy = [](void* data) { return data; };
  lend.udata_free = [](void*) -> herr_t { return 0; };
  lend.udata = image;
  return lend;
}

// The checksum of HDF5's metadata: Bob Jenkins, lookup3.c, hashlittle with initial value 0 (public domain).
uint32_t lookup3(std::span<const std::byte> bytes) {
  using std::rotl;
  uint32_t a = 0xdeadbeef + static_cast<uint32_t>(bytes.size());
  uint32_t b = a, c = a;
  auto add = [&](std::span<const std::byte> part) {
    uint32_t words[3] = {};
    std::memcpy(words, part.data(), part.size());
    a += words[0], b += words[1], c += words[2];
  };
  while (bytes.size() > 12) {
    add(bytes.first(12));
    a -= c, a ^= rotl(c, 4), c += b;
    b -= a, b ^= rotl(a, 6), a += c;
    c -= b, c ^= rotl(b, 8), b += a;
    a -= c, a ^= rotl(c, 16), c += b;
    b -= a, b ^= rotl(a, 19), a += c;
    c -= b, c ^= rotl(b, 4), b += a;
    bytes = bytes.subspan(12);
  }
  add(bytes);
  c ^= b, c -= rotl(b, 14);
  a ^= c, a -= rotl(c, 11);
  b ^= a, b -= rotl(a, 25);
  c ^= b, c -= rotl(b, 16);
  a ^= c, a -= rotl(c, 4);
  b ^= a, b -= rotl(a, 14);
  c ^= b, c -= rotl(b, 24);
  return c;
}

// H5Fget_file_image (1.10.8) clears the "open for writing" flag in the superblock it hands out, but leaves
// the checksum that was made with it, and such an image cannot be opened. Version 2 and 3 (HDF5 File Format
// Specification 3.0, II.A): signature, version, sizes and flags in 12 bytes, four addresses of 8, then the
// checksum over all of them.
void renew_superblock_checksum(std::span<std::byte> image) {
  constexpr size_t version_at = 8, checksum_at = 44;
  if (image.size() < checksum_at + 4 || static_cast<int>(image[version_at]) < 2) return;
  uint32_t checksum = lookup3(image.first(checksum_at));
  std::memcpy(image.data() + checksum_at, &checksum,
              sizeof checksum);  // little-endian, as all machines we know
}

}  // namespace

Handle create_file_in_memory() {
  Handle access = memory_access();
  Handle creation = untimed_file();  // closed after the reason of a failure was read
  hid_t id = H5Fcreate(unique_name("HDF5 file").c_str(), H5F_ACC_TRUNC, creation, access);
  expect<IoError>(id, [] { return std::string("creating a file in memory"); });
  return Handle(id, "H5Fcreate");
}

std::vector<std::byte> file_image(const Handle& file) {
  silence();
  auto what = [&] { return fmt::format("taking the image of {}", location_of(file)); };
  expect<IoError>(H5Fflush(file, H5F_SCOPE_LOCAL), what);
  ssize_t bytes = expect<IoError>(H5Fget_file_image(file, nullptr, 0), what);
  std::vector<std::byte> image(static_cast<size_t>(bytes));
  expect<IoError>(H5Fget_file_image(file, image.data(), image.size()), what);
  renew_superblock_checksum(image);
  return image;
}

Handle open_file_image(std::span<const std::byte> image, const std::string& name) {
  Handle access = memory_access();
  if (image.empty()) throw DataError("{}: empty, not an HDF5 file", name);
  // The library would copy the bytes, twice; it does not write to them, its signatures merely lack the const.
  auto* bytes = const_cast<std::byte*>(image.data());
  H5FD_file_image_callbacks_t lend = lend_image(bytes);
  check(H5Pset_file_image_callbacks(access, &lend), "H5Pset_file_image_callbacks");
  check(H5Pset_file_image(access, bytes, image.size()), "H5Pset_file_image");
  hid_t id = H5Fopen(unique_name(name).c_str(), H5F_ACC_RDONLY, access);
  expect(id, [&] { return fmt::format("opening {} (damaged, cut short or not an HDF5 file?)", name); });
  return Handle(id, "H5Fopen");
}

}  // namespace trireme::h5
