// A scene as SVG 1.1: text stays text, numbers have a fixed form, same scene same bytes.
#pragma once

#include <string>

#include "core/figure/scene.h"

namespace kappascope {

std::string to_svg(const Scene& scene);

// A drawing of the items from `begin` up to `end` alone.
std::string to_svg(const Scene& scene, std::size_t begin, std::size_t end);

// As an element of an HTML page: without what only a file needs (declaration, namespaces, metadata,
// and a title, which a browser would show as a tooltip of the whole picture), and larger, as
// screens want it. `label`: what the picture is called, for who cannot see it. Every id begins with
// `prefix`: letters, digits and '-', not empty, unlike that of any other part of the page.
std::string to_page_svg(const Scene& scene, const std::string& prefix, const std::string& label);

}  // namespace kappascope
