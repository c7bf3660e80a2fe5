// Whatever is thrown inside the engine library leaves it as a value.
#pragma once

#include <c10/util/Exception.h>

#include <string>

#include "core/error.h"
#include "core/forward/feed_forward.h"

namespace kappascope {

// Torch adds lines of advice for Python.
inline std::string first_line(const c10::Error& error) {
  const std::string all = error.what_without_backtrace();
  return printable(all.substr(0, all.find('\n')));
}

// Runs `work` and turns whatever it throws into a Failure.
template <typename Work>
Failure guarded(Work&& work) noexcept {
  try {
    work();
    return {};
  } catch (const Stopped&) {
    return {ExitCode::interrupted, "interrupted"};
  } catch (const c10::OutOfMemoryError& error) {  // says how much, and how much is free
    return {ExitCode::memory, first_line(error), Remedy::stream_or_use_cpu};
  } catch (const c10::AcceleratorError& error) {
    return {ExitCode::gpu, first_line(error)};
  } catch (const c10::Error& error) {
    const std::string reason = first_line(error);
    const bool memory = reason.find("allocate memory") != std::string::npos;
    const bool cuda = reason.find("CUDA") != std::string::npos;
    return {memory ? ExitCode::memory : cuda ? ExitCode::gpu : ExitCode::internal, reason};
  } catch (...) { return failure_in_flight(); }
}

}  // namespace kappascope
