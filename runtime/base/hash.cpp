#include "base/hash.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <xxhash.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "base/error.h"

namespace trireme {

struct Sha256::Context {
  EVP_MD_CTX* handle = EVP_MD_CTX_new();
  Context() = default;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() { EVP_MD_CTX_free(handle); }
};

namespace {
void check_openssl(int status, const char* call) {
  if (status != 1) throw Error(ExitCode::internal, fmt::format("OpenSSL: {} failed", call));
}
}  // namespace

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  check_openssl(EVP_DigestInit_ex(context_->handle, EVP_sha256(), nullptr), "EVP_DigestInit_ex(sha256)");
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<const std::byte> bytes) {
  check_openssl(EVP_DigestUpdate(context_->handle, bytes.data(), bytes.size()), "EVP_DigestUpdate");
}

std::string Sha256::hex() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  check_openssl(EVP_DigestFinal_ex(context_->handle, digest, &length), "EVP_DigestFinal_ex");
  std::string text;
  for (unsigned int i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

struct Xxh3::State {
  XXH3_state_t* handle = XXH3_createState();
  State() {
    if (handle == nullptr || XXH3_128bits_reset(handle) != XXH_OK) {
      throw Error(ExitCode::internal, "xxHash: no memory for its state");
    }
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { XXH3_freeState(handle); }
};

Xxh3::Xxh3() : state_(std::make_unique<State>()) {}
Xxh3::~Xxh3() = default;
Xxh3::Xxh3(Xxh3&&) noexcept = default;
Xxh3& Xxh3::operator=(Xxh3&&) noexcept = default;

void Xxh3::update(std::span<const std::byte> bytes) {
  XXH3_128bits_update(state_->handle, bytes.data(), bytes.size());
}

std::string Xxh3::hex() const {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state_->handle));
  std::string text;
  for (unsigned char byte : canonical.digest) text += fmt::format("{:02x}", byte);
  return text;
}

std::string xxh3_hex(std::span<const std::byte> bytes) {
  Xxh3 hash;
  hash.update(bytes);
  return hash.hex();
}

std::string xxh3_64_hex(std::span<const std::byte> bytes) {
  return fmt::format("{:016x}", XXH3_64bits(bytes.data(), bytes.size()));
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex();
}

std::string sha256_of_file(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) throw MissingInputError("{}: no such file", path.string());
  std::ifstream stream(path, std::ios::binary);
  std::vector<char> block(size_t{1} << 20);
  Sha256 hash;
  while (stream) {
    stream.read(block.data(), static_cast<std::streamsize>(block.size()));
    hash.update(std::as_bytes(std::span(block.data(), static_cast<size_t>(stream.gcount()))));
  }
  // A directory opens, and fails at the first read.
  if (!stream.eof()) throw IoError("{}: cannot be read", path.string());
  return hash.hex();
}

}  // namespace trireme
