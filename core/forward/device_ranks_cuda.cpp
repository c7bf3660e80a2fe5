// Sums over ranks by NCCL, the library that Torch's libtorch_cuda is linked with. Its functions are
// called by their names: c10d's group of it can be compiled only with the headers of CUDA and of
// the very NCCL that Torch was built with.
#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>

#include "core/forward/device.h"
#include "core/forward/device_cuda.h"
#include "kernels/cuda_device.h"

namespace kappascope {
namespace {

using namespace std::chrono_literals;

constexpr auto kLongestSum = 10min;  // of values that all ranks have handed over
constexpr auto kPause = 20us;        // between two looks

// nccl.h, the same in all of NCCL 2.
struct NcclId {
  std::array<std::int64_t, 16> parts;
};
struct ncclComm;
using NcclGroup = ncclComm*;
constexpr int kNcclInProgress = 7, kNcclFloat = 7, kNcclSum = 0;

struct Nccl {
  int (*get_id)(NcclId*) = nullptr;
  int (*join)(NcclGroup*, int size, NcclId, int rank) = nullptr;
  int (*sum)(const void* from, void* to, std::size_t count, int type, int operation, NcclGroup,
             CudaStream) = nullptr;
  int (*error_of)(NcclGroup, int* error) = nullptr;
  int (*abort)(NcclGroup) = nullptr;
  const char* (*text)(int error) = nullptr;
};

template <typename Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

// nullptr: there is none.
const Nccl* nccl() {
  static Nccl found;
  static const bool kThere = [] {
    void* const library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
    return library && find(library, "ncclGetUniqueId", found.get_id) &&
           find(library, "ncclCommInitRank", found.join) &&
           find(library, "ncclAllReduce", found.sum) &&
           find(library, "ncclCommGetAsyncError", found.error_of) &&
           find(library, "ncclCommAbort", found.abort) &&
           find(library, "ncclGetErrorString", found.text);
  }();
  return kThere ? &found : nullptr;
}

class NcclRanks final : public DeviceRanks {
 public:
  NcclRanks(Ranks& ranks, const at::Device& device) : ranks_(ranks), device_(device) {
    require_launched(cuda_create(summed_), "event");
    NcclId id{};
    if (ranks.rank() == 0) { require_done(nccl_.get_id(&id)); }
    require_exchanged(ranks.sum(std::span(id.parts)));  // 0 on the others
    NcclGroup group = nullptr;
    require_done(nccl_.join(&group, ranks.size(), id, ranks.rank()));
    group_.reset(group);
  }
  ~NcclRanks() override {
    if (summed_) { cuda_destroy(summed_); }
  }

  // A rank that has ended is noticed at a wait, where the GPUs would wait for it without end: at
  // the first, before NCCL connects to it, or at the second, before its values are waited for.
  void sum(at::Tensor& values) override {
    require_exchanged(ranks_.wait());
    require(group_ != nullptr, ExitCode::gpu, {}, "NCCL: an earlier sum over ranks has failed");
    try {
      start(values);
      require_exchanged(ranks_.wait());
      await_sum();
    } catch (...) {
      group_.reset();  // what is under way would hold up all that is started after it
      throw;
    }
  }

 private:
  void start(at::Tensor& values) {
    void* const first = values.mutable_data_ptr<float>();
    const CudaStream stream = stream_of(device_);
    require_done(nccl_.sum(first, first, std::size_t(values.numel()), kNcclFloat, kNcclSum,
                           group_.get(), stream));
    require_launched(cuda_record(summed_, stream), "event");
  }

  void await_sum() {
    for (const auto end = std::chrono::steady_clock::now() + kLongestSum;;) {
      bool summed = false;
      require_launched(cuda_reached(summed_, summed), "sum over ranks");
      if (summed) { return; }
      int error = 0;
      require_done(nccl_.error_of(group_.get(), &error));
      require_done(error == kNcclInProgress ? 0 : error);
      require(std::chrono::steady_clock::now() < end, ExitCode::gpu, {},
              "NCCL: a sum over ranks takes longer than ", kLongestSum.count(), " minutes",
              kRemedy);
      std::this_thread::sleep_for(kPause);
    }
  }

  void require_done(int error) const {
    require(error == 0, ExitCode::gpu, {}, "NCCL: ", nccl_.text(error), kRemedy);
  }

  static constexpr const char* kRemedy =
      "; NCCL_DEBUG=WARN says more, and with KAPPASCOPE_NCCL=off the sums go by way of the host";

  const Nccl& nccl_ = *nccl();
  Ranks& ranks_;
  const at::Device device_;
  // Not ncclCommDestroy, which may wait for the others; ncclCommAbort also ends what is under way.
  std::unique_ptr<ncclComm, int (*)(NcclGroup)> group_{nullptr, nccl_.abort};
  CudaEvent summed_ = nullptr;
};

}  // namespace

std::int64_t device_number(const at::Device& device) {
  const char* const wanted = std::getenv("KAPPASCOPE_NCCL");
  if ((wanted && std::string_view(wanted) == "off") || !nccl()) { return 0; }
  DeviceFacts facts;
  require_launched(cuda_describe(std::max<int>(0, device.index()), facts), "device");
  std::array<char, 256> machine{};
  (void)gethostname(machine.data(), machine.size() - 1);
  const std::string name = join_words(machine.data(), "/", facts.bus);
  return std::int64_t(std::hash<std::string>{}(name) | 1U);  // never 0
}

std::unique_ptr<DeviceRanks> join_devices(Ranks& ranks, const at::Device& device) {
  return std::make_unique<NcclRanks>(ranks, device);
}

}  // namespace kappascope
