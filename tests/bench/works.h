// The works of kappascope_bench by file.
#pragma once

#include <memory>

#include "core/engine/engine.h"
#include "tests/bench/work.h"

namespace kappascope::bench {

void add_layer_works(std::map<std::string, Maker>& makers);     // layer_works.cpp
void add_model_works(std::map<std::string, Maker>& makers);     // model_works.cpp
void add_decode_work(std::map<std::string, Maker>& makers);     // decode_work.cpp
void add_training_works(std::map<std::string, Maker>& makers);  // training_works.cpp

// Loaded as a work's arguments say: "threads", "memory", "device" (cpu or cuda), "dtype" (float32
// or bfloat16). model_works.cpp
std::unique_ptr<EngineModel> loaded_model(const Model& model, const Json& arguments);

}  // namespace kappascope::bench
