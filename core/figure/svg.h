// A scene as SVG 1.1: text stays text, numbers have a fixed form, same scene same bytes.
#pragma once

#include <string>

#include "core/figure/scene.h"

namespace kappascope {

std::string to_svg(const Scene& scene);

// A drawing of the items from `begin` up to `end` alone.
std::string to_svg(const Scene& scene, std::size_t begin, std::size_t end);

}  // namespace kappascope
