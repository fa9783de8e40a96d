// SHA-256 (FIPS 180-4) by OpenSSL, and XXH3 (128 bits) by xxHash: the one to name content by, the other to
// find damage, at the speed of memory.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace trireme {

// Incremental hash: update any number of times, then hex() once.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(std::span<const std::byte> bytes);
  // 64 lower-case hexadecimal digits; the object is spent afterwards.
  std::string hex();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

// Incremental XXH3, 128 bits: any flipped bit, cut or swapped block is found but for one chance in 2^128. It
// is no protection against somebody who means to deceive.
class Xxh3 {
 public:
  Xxh3();
  ~Xxh3();
  Xxh3(Xxh3&&) noexcept;
  Xxh3& operator=(Xxh3&&) noexcept;

  void update(std::span<const std::byte> bytes);
  // 32 lower-case hexadecimal digits of the canonical (big-endian) form, as xxh128sum prints them.
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string xxh3_hex(std::span<const std::byte> bytes);
// XXH3, 64 bits, for what is short: 16 digits of the canonical form, as xxhsum -H3 prints them.
std::string xxh3_64_hex(std::span<const std::byte> bytes);

std::string sha256_hex(std::span<const std::byte> bytes);

// Of a file's content, read in blocks. MissingInputError, IoError.
std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace trireme
