import harbour from "./images/harbour.jpg";
import heath from "./images/heath.jpg";
import summit from "./images/summit.jpg";
import tarn from "./images/tarn.jpg";

/** All walks, shortest first. Lengths in kilometres, climbs in metres, times in minutes at an easy pace. */
export const walks = [
  {
    id: "harbour",
    name: "Harbour wall",
    image: harbour,
    length: 4.2,
    climb: 35,
    minutes: 70,
    best: "evening",
    text: "Along the quay to the light at the end and back by the fish market. Flat, and never far from coffee.",
    steps: ["Start at the clock.", "Keep the water on your left as far as the light.", "Come back through the market hall."],
  },
  {
    id: "heath",
    name: "Red heath",
    image: heath,
    length: 7.8,
    climb: 160,
    minutes: 125,
    best: "afternoon",
    text: "Sandy paths through heather, best in late August. Wide views with hardly any climbing.",
    steps: ["Leave the car park by the white gate.", "Follow the posts with a red ring.", "At the split pine turn right, downhill."],
  },
  {
    id: "tarn",
    name: "Black tarn",
    image: tarn,
    length: 11.5,
    climb: 540,
    minutes: 230,
    best: "morning",
    text: "Up the old miners' track to a lake that sees no sun before noon. Take something warm to sit on.",
    steps: ["Cross the footbridge and go up with the stream.", "Stay right of the ruined mill.", "The tarn opens behind the last wall."],
  },
  {
    id: "summit",
    name: "Long summit",
    image: summit,
    length: 16.4,
    climb: 980,
    minutes: 390,
    best: "morning",
    text: "The whole ridge in one day. Start early, turn round at two o'clock wherever you are.",
    steps: ["First bus to the pass.", "Keep to the crest over three tops.", "Down the south ridge to the inn; last bus at seven."],
  },
];
