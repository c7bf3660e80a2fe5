// What becomes of a picture that is laid out: other colours, or none that shine through.
#pragma once

#include "core/figure/figure.h"
#include "core/figure/scene.h"

namespace kappascope {

// Colours for white paper become those of the theme, in pictures of cells too.
void apply_theme(Scene& scene, FigureTheme theme);

// For formats without opacity: pale colours instead of it, behind all other marks of their plot,
// and outlines by which areas that a later one covers are still seen.
void make_opaque(Scene& scene);

}  // namespace kappascope
