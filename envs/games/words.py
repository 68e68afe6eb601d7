"""The words of Wordle: common English words of four and of five letters, written down for this environment by hand.

The first word of each list is the one in the rules, and never a secret.
"""

from __future__ import annotations

from typing import Final

__all__ = ["FIVE", "FOUR"]

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
