/* topics.c - see topics.h. */
#include "modelsim/topics.h"

#include <stdbool.h>
#include <string.h>

#include "base/attr.h"

static const struct topic topics[] = {
    {
        { "sky", "blue", NULL },
        "Air scatters blue light far more than red light, so blue reaches "
        "your eyes from every part of the sky. The effect is called Rayleigh "
        "scattering.",
        { "Step 1, what is asked: sunlight is nearly white, yet the sky "
          "away from the sun looks blue. Something must send blue light "
          "towards us from directions in which there is no source.",
          "Step 2, the mechanism: molecules of nitrogen and oxygen are much "
          "smaller than the wavelength of light. Such particles scatter with "
          "a strength that grows as 1/λ⁴ (Rayleigh scattering).",
          "Step 3, the numbers: blue lies near 450 nm, red near 650 nm. "
          "(650/450)⁴ ≈ 4.4, so blue is scattered more than four times as "
          "strongly.",
          "Step 4, the check: violet is scattered even more, but the sun "
          "emits less of it, the upper air absorbs part of it, and our eyes "
          "are less sensitive to it. At sunset the path through the air is "
          "long, the blue is lost on the way, and what is left is red.",
          "Conclusion: the sky is blue because air scatters short waves "
          "more strongly than long ones, and because our eyes see the blue "
          "part of what is scattered best." },
    },
    {
        { "capital", "france", NULL },
        "The capital of France is Paris. It lies on the Seine and is also "
        "the country's largest city.",
        { "Step 1, what is asked: the city that is the seat of the French "
          "state.",
          "Step 2, the evidence: president, parliament and ministries all "
          "work in Paris, and French law takes Paris as the seat of the "
          "public powers.",
          "Step 3, a second view: every encyclopedia and the French "
          "government itself name Paris; no other city claims the role "
          "today.",
          "Step 4, the check: there were exceptions. Versailles held the "
          "court from 1682 to 1789, and Vichy a government from 1940 to "
          "1944; neither matters for the present.",
          "Conclusion: the capital of France is Paris, without "
          "reservation." },
    },
    {
        { "faster", "light", NULL },
        "Nothing that carries energy or information can move faster than "
        "light in a vacuum. Bringing a mass to that speed would take "
        "unlimited energy.",
        { "Step 1, what is asked: whether the speed of light, "
          "299,792,458 m/s, is a limit, and why.",
          "Step 2, the energy: a body of mass m at speed v has the energy "
          "γmc² with γ = 1/√(1 − v²/c²). As v comes close to c, γ grows "
          "beyond every bound.",
          "Step 3, the order of events: a signal faster than light would, "
          "for some observers, arrive before it was sent. Cause and effect "
          "would lose their order.",
          "Step 4, the check: accelerators see it daily. Protons at CERN "
          "reach 99.999999 % of c, and more energy makes them heavier to "
          "push, not noticeably faster. Expanding space and shadows can "
          "outrun light, but they carry no message.",
          "Conclusion: as far as we know c is the limit for everything that "
          "carries energy or information; no experiment contradicts it." },
    },
    {
        { "season", NULL, NULL },
        "The seasons come from the tilt of the Earth's axis, about 23.4°. "
        "The half that leans towards the sun gets longer days and steeper "
        "light, and therefore summer.",
        { "Step 1, what is asked: why it is warmer in one part of the year "
          "than in another.",
          "Step 2, the mechanism: the axis of the Earth is tilted by 23.4° "
          "and points the same way all year, so each hemisphere leans "
          "towards the sun for six months and away for six.",
          "Step 3, the effect: leaning towards the sun means that light "
          "falls more steeply, so each square metre gets more of it, and "
          "that days are longer.",
          "Step 4, the check: distance is not the cause. The Earth is "
          "closest to the sun early in January, in the middle of the "
          "northern winter, and the two hemispheres have opposite seasons.",
          "Conclusion: the tilt of the axis, not the distance from the sun, "
          "makes the seasons." },
    },
    {
        { "tide", NULL, NULL },
        "Tides are caused by the moon, and to a lesser part by the sun, "
        "pulling more strongly on the near side of the Earth than on the "
        "far side. Most coasts see two high tides in 24 h 50 min.",
        { "Step 1, what is asked: why the sea rises and falls twice a day.",
          "Step 2, the mechanism: gravity weakens with distance, so the "
          "moon pulls the near ocean more, and the far ocean less, than the "
          "Earth as a whole. Water gathers on both sides.",
          "Step 3, the rhythm: the Earth turns under these two bulges once "
          "a day while the moon moves on, which gives two high tides in "
          "24 h 50 min.",
          "Step 4, the check: the sun's share is a little under half of the "
          "moon's. When both line up, at new and full moon, tides are "
          "highest, as observed. The shape of a coast decides the rest.",
          "Conclusion: tides follow from the difference of the moon's and "
          "the sun's pull across the Earth." },
    },
    {
        { "photosynthesis", NULL, NULL },
        "Photosynthesis turns light, water and carbon dioxide into sugar "
        "and oxygen. Plants, algae and some bacteria live on it, and so "
        "does nearly everything else.",
        { "Step 1, what is asked: how living things store the energy of "
          "light.",
          "Step 2, the balance: 6 CO₂ + 6 H₂O + light → C₆H₁₂O₆ + 6 O₂.",
          "Step 3, the light reactions: chlorophyll absorbs light, water is "
          "split, oxygen is set free, and the energy is kept in ATP and "
          "NADPH.",
          "Step 4, the Calvin cycle: with ATP and NADPH the enzyme RuBisCO "
          "and its partners build carbon dioxide into sugar. As a check, "
          "the oxygen set free does come from water, as labelled ¹⁸O "
          "showed.",
          "Conclusion: photosynthesis stores light as chemical energy in "
          "two coupled stages, and oxygen is its by-product." },
    },
};

static bool
occurs_all(const char *question, const char *const words[TOPIC_WORDS])
{
    for (size_t i = 0; i < TOPIC_WORDS && words[i] != NULL; i++)
        if (strcasestr(question, words[i]) == NULL)
            return false;
    return true;
}

const struct topic *
topics_find(const char *question)
{
    for (size_t i = 0; i < ARRAY_LEN(topics); i++)
        if (occurs_all(question, topics[i].words))
            return &topics[i];
    return NULL;
}
