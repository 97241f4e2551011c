from simulator.report.kinds import KIND_STYLES, in_order, sources_in_order, style_of


def luminance(colour):
    """Relative luminance of an sRGB colour (WCAG 2.1, definition of relative luminance)."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_no_two_kinds_share_a_colour():
    colours = [style.colour for style in KIND_STYLES.values()]
    assert len(set(colours)) == len(colours)


def test_communication_is_warm_and_compute_is_not():
    for style in KIND_STYLES.values():
        red, blue = int(style.colour[1:3], 16), int(style.colour[5:7], 16)
        assert (red > blue) == style.communicates


def test_dispatch_and_combine_differ_in_brightness_too():
    assert luminance(style_of("combine").colour) > 1.5 * luminance(style_of("dispatch").colour)


def test_an_unknown_kind_gets_a_colour_and_keeps_it():
    assert style_of("vision_tower") == style_of("vision_tower")
    assert style_of("vision_tower").label == "vision tower"


def test_unknown_kinds_stand_behind_the_compute_and_before_the_communication():
    assert in_order(["combine", "vision_tower", "attention", "combine"]) == ["attention", "vision_tower", "combine"]


def test_sources_run_from_sure_to_unsure():
    assert sources_in_order(["guessed", "assumed", "measured"]) == ["measured", "assumed", "guessed"]
