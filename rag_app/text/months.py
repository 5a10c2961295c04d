"""Month names of many languages -> 1 to 12."""

import unicodedata
from functools import cache

# Full and short names of CLDR 48 for the languages with a stemmer, without accents; a test compares
# them with Babel's. What names two months is left out: "listopad" is October in Croatian, November
# in Czech and Polish.
_NAMES = (
    "ean eanair ene enero gen gener gennaio ian ianuarie jaan jaanuar jaenner jan janeiro "
    "janner januar januara januari january janv janvier led leden ledna oca ocak saus sausio "
    "sausis sij sijecanj sijecnja sty styczen stycznia tammi tammikuu tammikuuta urt urtarrila "
    "ιαν ιανουαριοσ ιανουαριου січ січень січня янв январь января јан јануар հնվ հունվար "
    "հունվարի يناير जनवरी ஜனவரி",
    "feabh feabhra feb febbraio febr febrer febrero februar februara februari februarie "
    "february fev fevereiro fevr fevrier helmi helmikuu helmikuuta lut lutego luty ots otsaila "
    "sub subat uno unor unora vas vasario vasaris veebr veebruar velj veljaca veljace φεβ "
    "φεβρουαριοσ φεβρουαριου лют лютии лютого феб фебруар февр февраль февраля փետրվար փետրվարի "
    "փտվ فبراير फबरअरी फरवरी பிப பிபரவரி",
    "bre brezen brezna kov kovas kovo maalis maaliskuu maaliskuuta maart maerz mar marc marca "
    "march marcius marco marec maret mars mart marta martie marts martxoa marz marzec marzo mrt "
    "ozu ozujak ozujka μαρ μαρτιοσ μαρτιου бер березень березня мар март марта մարտ մարտի մրտ "
    "مارس मारच மார மாரச",
    "abr abril aib aibrean api apirila apr april aprila aprile aprilie aprilis aprill avr avril "
    "bal balandis balandzio dub duben dubna huhti huhtikuu huhtikuuta kwi kwiecien kwietnia nis "
    "nisan tra travanj travnja απρ απριλιοσ απριλιου апр апрель апреля април квіт квітень "
    "квітня ապր ապրիլ ապրիլի ابريل अपरल अपरिल ஏபரல",
    "beal bealtaine geg geguze geguzes kve kveten kvetna mag maggio mai maiatza maig maio maj "
    "maja majus may mayo mayıs mei svi svibanj svibnja touko toukokuu toukokuuta μαι μαιοσ "
    "μαιου маи мая мај трав травень травня մայիս մայիսի մյս مايو",
    "birz birzelio birzelis cerven cervna cvn cze czerwca czerwiec eka ekaina giu giugno haz "
    "haziran iun iunie juin jun juna june junho juni junij junio junius juny juuni kesa kesakuu "
    "kesakuuta lipanj lipnja meith meitheamh ιουν ιουνιοσ ιουνιου июн июнь июня черв червень "
    "червня јун հնս հունիս հունիսի يونيو ஜூன",
    "cervence cervenec cvc heina heinakuu heinakuuta iuil iul iulie juil juillet jul jula julho "
    "juli julij julio juliol julius july juuli liep liepa liepos lipca lipiec lug luglio srpanj "
    "srpnja tem temmuz uzt uztaila ιουλ ιουλιοσ ιουλιου июл июль июля лип липень липня јул հլս "
    "հուլիս հուլիսի يوليو जलाई ஜூலை",
    "abu abuztua ago agost agosto agu agustos agustus aout aug august augusta augusti augustus "
    "augusztus avg avgust elo elokuu elokuuta kol kolovoz kolovoza lun lunasa rugp rugpjucio "
    "rugpjutis sie sierpien sierpnia srpen srpna αυγ αυγουστοσ αυγουστου авг август августа "
    "серп серпень серпня օգոստոս օգոստոսի օգս اغسطس अगसट अगसत ஆகஸட",
    "eyl eylul ira iraila mfomh rugs rugsejis rugsejo ruj rujan rujna sep sept septembar "
    "september septembra septembre septembrie septiembre set setembre setembro settembre syys "
    "syyskuu syyskuuta szept szeptember wrz wrzesien wrzesnia zar zari σεπ σεπτεμβριοσ "
    "σεπτεμβριου вер вересень вересня сент сентябрь сентября сеп септембар սեպ սեպտեմբեր "
    "սեպտեմբերի سبتمبر सपटमबर सित सितबर செப செபடமபர",
    "dfomh eki ekim loka lokakuu lokakuuta oct october octobre octombrie octubre okt oktobar "
    "oktober oktobra oktoober ott ottobre out outubro paz pazdziernik pazdziernika rij rijen "
    "rijna spal spalio spalis urr urria οκτ οκτωβριοσ οκτωβριου жовт жовтень жовтня окт октобар "
    "октябрь октября հոկ հոկտեմբեր հոկտեմբերի اكتوبر अकट अकटबर अकटोबर அகடோபர",
    "aza azaroa kas kasım lapkr lapkricio lapkritis listopadu marras marraskuu marraskuuta "
    "noiembrie nov novembar november novembra novembre novembro noviembre samh samhain stu "
    "studeni studenoga νοε νοεμβριοσ νοεμβριου лист листопад листопада нов новембар нояб ноябрь "
    "ноября նոյ նոյեմբեր նոյեմբերի نوفمبر नवबर नोभमबर நவமபர",
    "abe abendua ara aralık dec decembar december decembra decembre decembrie des desember "
    "desembre dets detsember dez dezember dezembro dic dicembre diciembre gru grudnia grudzien "
    "gruod gruodis gruodzio joulu joulukuu joulukuuta noll nollaig pro prosinac prosinca "
    "prosince prosinec δεκ δεκεμβριοσ δεκεμβριου груд грудень грудня дек декабрь декабря дец "
    "децембар դեկ դեկտեմբեր դեկտեմբերի ديسمبر डिसमबर दिस दिसबर டிச டிசமபர",
)

# For running text: there too many names of the other languages are English words (out, pro, set).
_ENGLISH = (
    "january february march april may june july august september october november december "
    "jan feb mar apr jun jul aug sept sep oct nov dec"
)
# A regular expression, of lower case.
ENGLISH_MONTH = rf"(?:{'|'.join(_ENGLISH.split())})\b"


def month_number(name: str) -> int | None:
    """Read a month's name, full or short, with or without accents and full stop."""
    return _numbers().get(plain(name))


def plain(word: str) -> str:
    """Fold case and take off accents and the full stop of an abbreviation."""
    letters = unicodedata.normalize("NFKD", word.casefold())
    return "".join(c for c in letters if unicodedata.category(c) != "Mn").rstrip(".॰")


@cache
def _numbers() -> dict[str, int]:
    return {name: number for number, names in enumerate(_NAMES, 1) for name in names.split()}
