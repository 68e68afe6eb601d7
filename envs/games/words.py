"""The words of Wordle: common English words of four and of five letters, written down for this environment by hand.

The first word of each list is the one in the rules, and never a secret.
"""

from __future__ import annotations

from typing import Final

__all__ = ["FIVE", "FOUR", "MORE_FIVE"]

FOUR: Final = tuple(
    """
    word able acid aged area army away baby back ball band bank base bath bean bear beat bell belt bend bike
    bird blow blue boat body bold bone book boot born boss both bowl burn busy cake call calm camp card care
    case cash cave chef chin city clay club coal coat code coin cold cook cool copy corn cost crew crop dark
    data date dawn deal deep deer desk dirt dish door down draw drop drum dust duty earn east easy edge evil
    exit face fact fair farm fast fear file film fire firm fish flag flat flow fold folk food foot fork form
    free frog fuel full game gate gift girl give glad goal goat gold good gray grow hair half hall hand hard
    harm hawk head heat help hero high hill hint hold hole home hope horn host hour huge idea inch iron item
    jazz join joke jump june jury keen kept kick kind king kiss kite knee knot lady lake lamp land last lazy
    leaf lend lens life lift lime line lion list load loan lock long loud love luck lung mail main make many
    mark mask meal meat melt menu milk mind mint moon more moth move myth nail navy neck nest news nice noon
    nose note oath obey omit once only open oven over pace page pain palm park path peak pear pink pipe plan
    play plot plum plus poem poet pond pool port pray pull pure quit quiz race rail rain rank read real rice
    rich ride ring road rock role roof room root rope rose rule rush safe sail salt sand seed ship shoe shop
    show sick silk sing skin slow snow soap soft soil song sort soup spin star stem step stop such swim tail
    tale talk tall tank task team tent term tide tiny tool town tree trip true tube turn twin type unit upon
    vast verb very vote wage wake walk wall warm wash wave weak west wide wife wild wind wine wing wish wolf
    wood wool yard year yoga zero zone
    """.split()
)
"""Of four letters."""

FIVE: Final = tuple(
    """
    solve about above actor acute admit adopt adult after again agent agree ahead alarm album alert alike
    alive allow alone along alter amaze amber amend among anger angle angry ankle apart apple apron arena
    argue arise armor aside asset audio audit avoid awake award aware awful bacon badge baker basic basin
    beach beard beast begin being below bench berry birth black blade blame blank blast blaze bleak blend
    bless blind block blood bloom board boast bonus boost booth brain brake brand brave bread break brick
    bride brief bring broad broom brown brush build bunch burst cabin cable camel canal candy canoe cargo
    carry carve catch cause cedar chain chair chalk charm chart chase cheap check cheek cheer chess chest
    chief child chill choir civic claim class clean clear clerk cliff climb clock close cloth cloud clown
    coach coast cobra comet coral couch cough could count court cover crack craft crane crash crawl crazy
    cream creek crime crisp cross crowd crown crude cruel crust curve cycle daily dairy daisy dance decay
    delay depth devil diary digit diner dirty ditch dizzy donor doubt dough dozen draft drain drama dream
    dress drift drill drink drive eager eagle early earth elbow elder elect empty enemy enjoy enter entry
    equal error essay event every exact exist extra fable faith false fancy fault favor feast fence ferry
    fever fiber field fifth fifty fight final flame flash fleet flesh float flock flood floor flour fluid
    flute focus force forge forty forum found frame fraud fresh front frost fruit fudge funny gecko ghost
    giant given glass globe gloom glory glove goose grace grade grain grand grant grape graph grass grave
    great green greet grief grill groan group grove guard guess guest guide habit happy harsh haste hazel
    heart heavy hedge hello honey honor horse hotel house human humor hurry ideal image index inner input
    ivory jelly jewel joint judge juice karma kayak knife knock label labor large laser later laugh layer
    learn lemon level lever light limit linen liver local logic loose lower loyal lucky lunar lunch magic
    major mango maple march marsh match maybe mayor medal media melon mercy merge merit metal meter might
    minor mixed model money month moral motor mount mouse mouth movie music nasty nerve never night noble
    noise north novel nurse ocean offer often olive onion opera orbit order organ other otter ought outer
    owner paint panda panel panic paper party pasta patch pause peace peach pearl pedal penny phone photo
    piano piece pilot pitch pizza place plain plane plant plate plaza point polar porch pound power press
    price pride prime print prize proof proud pulse pupil purse queen query quick quiet quilt quota quote
    radar radio raise ranch range rapid raven reach ready realm rebel refer relax reply rider ridge rifle
    right rigid risky rival river roast robin robot rocky rough round route royal ruler rural salad salon
    salty sauce scale scare scarf scene scent scope score scout screw sense serve seven shade shake shape
    share shark sharp sheep sheet shelf shell shift shine shirt shock shore short shout shrug sight silly
    since skill skirt skull slate sleep slice slide slope small smart smell smile smoke snack snake solar
    solid sorry sound south space spare speak spear speed spell spend spice spike spine spoon sport spray
    squad stage stair stake stamp stand start state steal steam steel steep stick still stone stool store
    storm story stove straw strip study stuff style sugar sunny super swamp swarm sweat sweep sweet swift
    swing sword syrup table taste teach thank theme thick thief thing think third thorn three throw thumb
    tiger tight title toast today token tooth topic torch total touch tough towel tower toxic trace track
    trade trail train trash treat trend trial tribe trick troop truck trunk trust truth tulip tutor twice
    twist uncle under union unite until upper upset urban usual valid value vapor vault verse video virus
    visit vital vivid vocal voice voter wagon waist waste watch water weary weigh weird whale wheat wheel
    where which while white whole whose widow width woman world worry worth would wound wrist write wrong
    yacht yield young youth zebra
    """.split()
)
"""Of five letters."""

MORE_FIVE: Final = tuple(
    """
    abide abode abort abuse abyss acorn acres acrid acted added adept adieu adobe adore aglow alibi alien align
    aloft aloof aloud amble amiss ample amuse angel annex annoy anvil aphid apply aroma arose array arrow arson
    ashes asked askew atlas atone attic avail avert await awash awoke axiom badly bagel balls banal bands baron
    basil basis bathe baton beads beans bears began begun bells belly birch birds bison bland blare bleat bleed
    blimp blink bliss bloke blond blown bluff blunt blurb blurt blush boats books bored bough bound bowel boxer
    brace braid brash brass brawl brawn braze breed bribe brine brink brisk broil broke brood brook broth brunt
    brute buddy budge buggy built bulge bulky bully bunny burly burnt bushy butte buyer bylaw cacao cache cadet
    cakes cameo canon caper carat cards carol caste cater cease champ chant chaos chasm cheat chick chide chili
    chime chimp china chirp choke chord chore chose chuck chunk churn cider cigar cinch civil clamp clang clank
    clash clasp cleft click cling cloak clone clout clove clump cocoa colon color comic comma condo corny covet
    cramp crank crate crave craze creak creed creep crept crest crimp croak crock crook crumb crush crypt cubic
    cumin curly curry curse cynic dandy dates datum deals dealt death debit debut decal decor decoy defer deity
    delta delve denim dense depot derby desks deter dingo dingy disco ditto ditty diver dodge dogma doing dolly
    donut doors dowel drake drank drape drawl drawn dread dried droll drone droop drove drown druid drunk dryer
    ducks dully dummy dumpy dunce dusky dusty duvet dwarf dwell dwelt dying easel eaten ebony edict eight eject
    elite elope elude email ember enact endow ensue envoy epoch equip erase erect erode erupt ether ethic evade
    evict evoke exalt excel exert exile expel extol exult faces facet facts faint fairy farce farms fatal fatty
    fauna feign fetch fetus fiend fiery files filet filly filmy filth finch fires first fishy fixer fizzy fjord
    flack flair flake flaky flank flare flask fleck flick flies fling flint flirt flora floss flown fluff fluke
    flung flunk flush foamy focal foggy foist folio folly foray forgo forth foyer frail frank freak freed freer
    friar fried frill frisk frock frond froth frown froze fully fungi funky furor furry fussy fuzzy games gamma
    gates gauge gaunt gauze gavel gawky geese genie genre giddy gifts giver glade gland glare glaze gleam glean
    glide glint gloat gloss gnash gnome goals going golem goner goods goofy gorge gouge gourd graft grasp grate
    gravy graze greed grime grimy grind gripe groin groom grope gross grout growl grown gruel gruff grunt guava
    guild guile guilt guise gulch gully gumbo gummy gusto gusty hairy hands handy hardy hasty hatch haunt haven
    heads heard heath heave hefty heist hence heron hills hinge hippo hitch hoard hobby hoist homes horde horns
    hotly hound hours hover howdy humid humus hunch husky hyena hymns icing ideas idiom idiot igloo imply inane
    incur inept inert infer ingot inlay inlet inter intro irate irony issue itchy items jaunt jazzy jerky jetty
    joist joker jolly juicy jumbo jumpy juror kebab khaki kings kiosk kitty knack knead kneel knelt knoll known
    koala laden ladle lakes lance lanky lapel lapse larva lasso latch latex lathe latte leach leafy leaky lease
    leash least leave ledge legal leggy lemur libel liken lilac limbo limbs liner lines lingo links lions lists
    lithe llama loamy loath lobby lodge lofty looks lorry loser louse lousy lover lowly lucid lumen lumpy lunge
    lurch lurid lying lymph lyric macaw macho macro madly mafia magma maize maker makes mambo mangy mania manor
    marks marry matte maxim meals means meant meaty medic melee merry metro micro midst miles mimic mince minty
    minus mirth miser modem moist molar moldy moody moose moron mossy motel motif motto mound mourn mover moves
    mower mucus muddy mulch mummy munch mural murky mushy musky musty myrrh nadir nails naive names nanny nasal
    naval navel needs needy nerdy newer newly nicer niche niece ninja ninth noisy nomad notch notes nudge nutty
    nylon nymph oaken occur octet oddly offal omega onset opium optic ounce outdo ovary overt owing oxide ozone
    paddy pagan pages pairs pansy papal parka parts paste patio patty payee pecan penal pence perch peril perky
    pesky petal petty phase phony picky piety pinch pinky pinto pious piper pique pithy pivot pixel pixie plaid
    plait plank plans plays plead pleat plied pluck plumb plume plump plunk plush poise poker polka polyp poppy
    posse pouch pouty prank prawn preen prick prior prism privy probe prone prong prose prove prowl prune psalm
    pulpy punch puppy puree purge putty quack quail quake qualm quart quasi quest queue quill quirk quite rabbi
    rabid racer radii rainy rally rates ratio rayon razor react reads rebus rebut recap recur reedy regal rehab
    reign relay relic remit renew repay repel rerun resin retro retry reuse revel rhino rhyme rides rings rinse
    ripen risen riser roach roads rocks rodeo rogue roles rooms roomy roost roots ropes rotor rouge rouse rover
    rowdy rugby rules rumba rumor rusty sadly safer saint salsa salve sandy saner satin saucy sauna saute savor
    savvy scald scalp scant scary scoff scold scone scoop scorn scowl scram scrap scrub seeds seedy seize sepia
    serum setup sever shady shaft shaky shale shall shame shank shard shave shawl shear sheen sheer shied shiny
    ships shirk shoal shoes shone shook shoot shops shorn shove shown showy shred shrew shrub shuck shunt shush
    shyly sieve silky sinew singe siren sixth sixty sized skate skimp skulk skunk slack slain slang slant slash
    sleek sleet slept slick slime slimy sling slosh sloth slump slung slunk slurp slush smash smear smelt smirk
    smith smock smoky snail snare snarl sneak sneer snide sniff snipe snoop snore snort snout snowy snuff soapy
    sober soggy sonar songs sonic soups spade spark spasm spawn speck spent spicy spied spiel spill spiny spire
    spite splat split spoil spoke spoof spook spool spore spout spree sprig spunk spurn spurt squat squid stack
    staff staid stain stale stalk stall stare stark stars stash stave stead steak steed steer steps stern stiff
    stilt sting stink stint stock stoic stoke stole stomp stony stood stoop stork stout strap stray strut stuck
    stump stung stunk stunt suave suite sulky surge surly sushi swath swear swell swept swill swirl swish swoon
    swoop swore sworn swung taboo tacit tacky taffy taint taken taker tally talon tango tangy taper tapir tardy
    tarot tasty taunt tawny tears teary tease teddy tempo tenet tenor tense tenth tepid terra tests their there
    these thigh thong those threw throb thrum thump tidal timer times timid tipsy titan tonic tools topaz torso
    totem towns tract trait tramp trawl tread trees triad tried tripe trite troll trope trout trove truce truly
    trump truss tumor tunic turns twang tweak tweed tweet twine twirl tying udder ulcer ultra undue unfit unify
    unity unlit usage usher utter vague valet valve vegan venom venue verge vicar vigil vigor villa vinyl viola
    viper viral visor vista vodka vogue vouch vowel wacky wafer wager waive waltz warty waver weave wedge weedy
    weeks welsh wharf whiff whine whirl whisk widen wider wield windy wiser wispy witch witty woken women woody
    words worse worst woven wrath wreak wreck wrest wring wrote yearn years yeast zesty
    """.split()
)
"""Also of five letters: taken as guesses, and never hidden."""
